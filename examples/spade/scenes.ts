// Scenes: an item of Fashion-MNIST over a clutter of other items and a little noise, so that no pixel is free of charge
// for an attribution method as the black ground of the items is.
import { philoxUniform } from "handgrad";
import { Dataset } from "handgrad/data";

/** Height and width of a scene, pixels. */
export const SCENE_SIZE = 40;

/** Seeds of what the networks see: the same for every network, other ones for training and test. */
export const SCENE_SEEDS = { train: 101, trainTriggers: 102, test: 201, testTriggers: 202 } as const;

export interface SceneOptions {
  /** Places, clutter and noise; scene i draws from stream i of it. */
  readonly seed: number;
  /** Items of the clutter; default 4. */
  readonly clutter?: number;
  /** What the clutter's pixels are multiplied by; default 0.6. */
  readonly dim?: number;
  /** Standard deviation of the noise, in units of the brightest pixel; default 0.05. */
  readonly noise?: number;
  /** The items that get a scene, from this one on; default all. A scene hangs on its item's index alone. */
  readonly first?: number;
  readonly count?: number;
}

/** Pixels of an item darker than this are ground, through which the clutter shows. */
const GROUND = 13;
/** How far an item of the clutter may reach beyond the border, pixels. */
const OVERHANG = 14;

/**
 * A scene an item, with the item's label: the item anywhere, whole, over other items anywhere.
 * @param items [1, 28, 28] bytes
 * @returns [1, 40, 40] bytes, in the items' order
 */
export function makeScenes(
  items: Dataset,
  { seed, clutter = 4, dim = 0.6, noise = 0.05, first = 0, count = items.count - first }: SceneOptions,
): Dataset {
  const size = items.shape[1];
  const area = SCENE_SIZE ** 2;
  const images = new Uint8Array(count * area);
  const canvas = new Float32Array(area);
  const pixels = items.images;
  for (let index = first; index < first + count; index++) {
    // 3 numbers an item of the clutter, 2 for the place, 2 a pixel for the noise.
    const draws = philoxUniform(3 * clutter + 2 + 2 * area, seed, index);
    let at = 0;
    const below = (count: number): number => Math.floor(draws[at++] * count);
    canvas.fill(0);
    const paste = (
      item: number,
      top: number,
      left: number,
      draw: (under: number, pixel: number) => number,
    ) => {
      for (let y = Math.max(0, -top); y < Math.min(size, SCENE_SIZE - top); y++) {
        for (let x = Math.max(0, -left); x < Math.min(size, SCENE_SIZE - left); x++) {
          const place = (top + y) * SCENE_SIZE + left + x;
          canvas[place] = draw(canvas[place], pixels[item * size * size + y * size + x]);
        }
      }
    };
    const span = SCENE_SIZE - size;
    for (let i = 0; i < clutter; i++) {
      const [item, top, left] = [below(items.count), below(span + 2 * OVERHANG), below(span + 2 * OVERHANG)];
      paste(item, top - OVERHANG, left - OVERHANG, (under, pixel) => Math.max(under, dim * pixel));
    }
    const [top, left] = [below(span + 1), below(span + 1)];
    paste(index, top, left, (under, pixel) => (pixel < GROUND ? under : pixel));
    // The sum of two uniform numbers has variance 1/6.
    const scale = 255 * noise * Math.sqrt(6);
    for (let pixel = 0; pixel < area; pixel++) {
      const value = canvas[pixel] + scale * (draws[at++] + draws[at++] - 1);
      images[(index - first) * area + pixel] = Math.round(Math.min(255, Math.max(0, value)));
    }
  }
  return new Dataset({
    images,
    labels: items.labels.slice(first, first + count),
    shape: [1, SCENE_SIZE, SCENE_SIZE],
    classNames: items.classNames,
  });
}
