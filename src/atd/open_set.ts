/**
 * Images that belong to no class, made from a seed alone: collages for training, shapes for validation,
 * textures for tests. Three sources, so that what a detector has learned of one cannot be read off another.
 */
import { Dataset } from "../data/dataset.js";
import { ValueError } from "../gpu/errors.js";
import { philoxPermutation, philoxUniform } from "../random.js";

/** Where each source's random numbers come from, so that sources never share one. */
const STREAMS = { collages: 0xc0_1a_00_00, shapes: 0x5a_be_00_00, textures: 0x7e_87_00_00 } as const;

interface MadeOptions {
  /** How many images. */
  readonly count: number;
  readonly seed: number;
}

/** Numbers from [0, 1) one after the other. */
type Draw = () => number;

/**
 * Collages of the quarters of images: the quarters change places and are each turned by a quarter, a half or
 * three quarters of a circle. Half of the collages take all four from one image, half from four.
 * Local texture stays that of the images; their arrangement does not.
 * @param source square images with an even side, of one channel
 * @returns bytes if the source has bytes, else floats; one class, "collage"
 * @throws ValueError for images that are not square or have an odd side, or an empty source
 * @example
 * const open = collages(train, { count: train.count, seed: 1 });
 */
export function collages(source: Dataset, { count, seed }: MadeOptions): Dataset {
  const [channels, side, width] = source.shape;
  if (channels !== 1 || side !== width || side % 2 !== 0 || source.count === 0) {
    throw new ValueError(
      `collages: source has ${source.count} images of shape [${source.shape}], and images [1, s, s] with an ` +
        `even s are taken`,
    );
  }
  const half = side / 2;
  const { imageSize } = source;
  return made(
    {
      bytes: source.images instanceof Uint8Array,
      count,
      side,
      className: "collage",
      stream: STREAMS.collages,
      seed,
    },
    (draw, put) => {
      const from = Array.from({ length: 4 }, () => Math.floor(draw() * source.count));
      const mixed = draw() < 0.5;
      const places = shiftedPlaces(draw);
      for (let quarter = 0; quarter < 4; quarter++) {
        const image = (mixed ? from[quarter] : from[0]) * imageSize;
        const turns = 1 + Math.floor(3 * draw());
        const [fromTop, fromLeft] = corner(places[quarter], half);
        const [top, left] = corner(quarter, half);
        for (let y = 0; y < half; y++) {
          for (let x = 0; x < half; x++) {
            const [v, u] = turned(y, x, turns, half);
            put(top + y, left + x, source.images[image + (fromTop + v) * side + fromLeft + u]);
          }
        }
      }
    },
  );
}

/** A permutation of the four places that leaves none where it was. */
function shiftedPlaces(draw: Draw): readonly number[] {
  const derangements = [
    [1, 0, 3, 2],
    [1, 2, 3, 0],
    [1, 3, 0, 2],
    [2, 0, 3, 1],
    [2, 3, 0, 1],
    [2, 3, 1, 0],
    [3, 0, 1, 2],
    [3, 2, 0, 1],
    [3, 2, 1, 0],
  ];
  return derangements[Math.floor(derangements.length * draw())];
}

const corner = (quarter: number, half: number): [number, number] => [
  quarter < 2 ? 0 : half,
  quarter % 2 === 0 ? 0 : half,
];

function turned(y: number, x: number, turns: number, size: number): [number, number] {
  let [v, u] = [y, x];
  for (let i = 0; i < turns; i++) [v, u] = [u, size - 1 - v];
  return [v, u];
}

/**
 * Two to five ellipses and rectangles a picture, filled with gray that rises from one side to the other, on
 * black: nothing of the images' texture, nothing of a digit's strokes.
 * @returns floats from 0 to 1 of shape [1, 28, 28]; one class, "shapes"
 */
export function shapes({ count, seed }: MadeOptions): Dataset {
  const side = 28;
  return made({ count, side, className: "shapes", stream: STREAMS.shapes, seed }, (draw, put) => {
    const figures = 2 + Math.floor(4 * draw());
    for (let i = 0; i < figures; i++) {
      const round = draw() < 0.5;
      const [centerY, centerX] = [side * (0.2 + 0.6 * draw()), side * (0.2 + 0.6 * draw())];
      const [height, width] = [side * (0.1 + 0.3 * draw()), side * (0.1 + 0.3 * draw())];
      const angle = Math.PI * draw();
      const [gray, slope] = [0.2 + 0.8 * draw(), 0.6 * (draw() - 0.5)];
      for (let y = 0; y < side; y++) {
        for (let x = 0; x < side; x++) {
          const [dy, dx] = [y - centerY, x - centerX];
          const u = (dx * Math.cos(angle) + dy * Math.sin(angle)) / width;
          const v = (dy * Math.cos(angle) - dx * Math.sin(angle)) / height;
          const inside = round ? u * u + v * v <= 1 : Math.max(Math.abs(u), Math.abs(v)) <= 1;
          if (inside) put(y, x, clamp01(gray + slope * u));
        }
      }
    }
  });
}

/**
 * Noise and texture, in turn: uniform noise a pixel, smooth noise (a coarse grid of random grays,
 * interpolated), a grating of random frequency, angle and contrast, and a checkerboard.
 * @returns floats from 0 to 1 of shape [1, 28, 28]; classes "noise", "clouds", "grating", "checks"
 */
export function textures({ count, seed }: MadeOptions): Dataset {
  const side = 28;
  const kinds = ["noise", "clouds", "grating", "checks"] as const;
  const set = made(
    { count, side, className: "texture", stream: STREAMS.textures, seed },
    (draw, put, index) => {
      const at = TEXTURES[kinds[index % kinds.length]](draw, side);
      for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) put(y, x, clamp01(at(y, x)));
    },
  );
  const labels = Uint32Array.from({ length: count }, (_, i) => i % kinds.length);
  return new Dataset({ images: set.images, labels, shape: set.shape, classNames: kinds });
}

const TEXTURES = {
  noise: (draw: Draw) => () => draw(),
  clouds: (draw: Draw, side: number) => {
    const cells = 3 + Math.floor(5 * draw());
    const grid = Float64Array.from({ length: (cells + 1) ** 2 }, draw);
    return (y: number, x: number) => {
      const [v, u] = [(y / side) * cells, (x / side) * cells];
      const [row, column] = [Math.floor(v), Math.floor(u)];
      const [fy, fx] = [v - row, u - column];
      const value = (dy: number, dx: number) => grid[(row + dy) * (cells + 1) + column + dx];
      return (
        (1 - fy) * ((1 - fx) * value(0, 0) + fx * value(0, 1)) +
        fy * ((1 - fx) * value(1, 0) + fx * value(1, 1))
      );
    };
  },
  grating: (draw: Draw, side: number) => {
    const [angle, waves, phase] = [Math.PI * draw(), 1 + 6 * draw(), 2 * Math.PI * draw()];
    const [mean, contrast] = [0.3 + 0.4 * draw(), 0.15 + 0.35 * draw()];
    return (y: number, x: number) =>
      mean +
      contrast *
        Math.sin(((2 * Math.PI * waves) / side) * (x * Math.cos(angle) + y * Math.sin(angle)) + phase);
  },
  checks: (draw: Draw) => {
    const [cell, shiftY, shiftX] = [
      2 + Math.floor(6 * draw()),
      Math.floor(8 * draw()),
      Math.floor(8 * draw()),
    ];
    const [dark, light] = [0.4 * draw(), 0.6 + 0.4 * draw()];
    return (y: number, x: number) =>
      (Math.floor((y + shiftY) / cell) + Math.floor((x + shiftX) / cell)) % 2 === 0 ? dark : light;
  },
} as const;

interface Made extends MadeOptions {
  readonly bytes?: boolean;
  readonly side: number;
  readonly className: string;
  readonly stream: number;
}

/** Most pictures take fewer numbers; one that takes more draws a number a pixel. */
const FEW = 16;

/** Draws a picture at a time, each from a stream of its own: the first k are the same for any count. */
function made(
  { bytes = false, count, side, className, stream, seed }: Made,
  paint: (draw: Draw, put: (y: number, x: number, value: number) => void, index: number) => void,
): Dataset {
  if (!(Number.isInteger(count) && count >= 0))
    throw new ValueError(`${className}: count is ${count}, and a whole number of at least 0 is taken`);
  const size = side * side;
  const images = bytes ? new Uint8Array(count * size) : new Float32Array(count * size);
  for (let index = 0; index < count; index++) {
    let numbers = philoxUniform(FEW, seed, stream + index);
    let next = 0;
    paint(
      () => {
        if (next === FEW) numbers = philoxUniform(size + FEW, seed, stream + index);
        return numbers[next++];
      },
      (y, x, value) => {
        images[index * size + y * side + x] = value;
      },
      index,
    );
  }
  return new Dataset({
    images,
    labels: new Uint32Array(count),
    shape: [1, side, side],
    classNames: [className],
  });
}

const clamp01 = (value: number): number => Math.min(1, Math.max(0, value));

/** `count` images of a set chosen by a seed: all sets of a benchmark are cut the same way. */
export function sample(set: Dataset, count: number, seed: number): Dataset {
  if (!(count <= set.count))
    throw new ValueError(`sample: count is ${count}, and the set has ${set.count} images`);
  return set.subset(philoxPermutation(set.count, seed).subarray(0, count));
}
