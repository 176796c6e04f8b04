/**
 * Covering parts of an image (Zeiler and Fergus, "Visualizing and understanding convolutional networks",
 * 2014).
 */
import { ValueError } from "../gpu/errors.js";
import type { Sequential } from "../layers/sequential.js";
import { type Tensor, tensor } from "../tensor.js";
import { type Baseline, baselineOf, checkCount, type ExplainOptions, targetsOf } from "./definition.js";
import { maskedScores, type Score } from "./masked_scores.js";
import { checkCommon, classesOf, joined } from "./passes.js";

export interface OcclusionOptions extends ExplainOptions {
  /** Height and width of the window in pixels; default a seventh of the image's shorter side. */
  readonly window?: number | readonly [number, number];
  /** Steps of the window down and across; default half of it. The last window ends at the border. */
  readonly stride?: number | readonly [number, number];
  /** What the window shows; default 0. */
  readonly baseline?: Baseline;
  /** Default "logit". */
  readonly score?: Score;
}

interface Window {
  readonly top: number;
  readonly left: number;
}

/**
 * How much the score falls when a window covers a pixel: the mean over the windows that do.
 * @param x images [n, c, h, w]
 * @returns maps [n, h, w], or [n, 1, h, w] with channels "keep"; the caller's
 * @throws ShapeError, ValueError
 * @example
 * const maps = await occlusion(model, images, { target: 3, window: 5, stride: 2 });
 */
export async function occlusion(
  model: Sequential,
  x: Tensor,
  { window, stride, baseline = 0, ...options }: OcclusionOptions,
): Promise<Tensor> {
  const name = "occlusion";
  checkCommon(name, x, options);
  const [images, , height, width] = x.shape;
  const side = Math.max(1, Math.round(Math.min(height, width) / 7));
  const [windowHeight, windowWidth] = pair(name, "window", window ?? side);
  if (windowHeight > height || windowWidth > width) {
    throw new ValueError(
      `occlusion: window is ${windowHeight} × ${windowWidth}, and at most the image's ${height} × ${width} is taken`,
    );
  }
  const half = [windowHeight, windowWidth].map((size) => Math.max(1, Math.floor(size / 2)));
  const [down, across] = pair(name, "stride", stride ?? (half as [number, number]));
  const windows = starts(height, windowHeight, down).flatMap((top) =>
    starts(width, windowWidth, across).map((left): Window => ({ top, left })),
  );
  const paint = ({ top, left }: Window, visit: (pixel: number) => void): void => {
    for (let y = top; y < top + windowHeight; y++) {
      for (let column = left; column < left + windowWidth; column++) visit(y * width + column);
    }
  };
  const targets = await targetsOf(name, options.target, images, classesOf(name, model, x));
  const baselines = baselineOf(name, x, baseline);
  try {
    const pixels = height * width;
    const segments = Uint32Array.from({ length: pixels }, (_, pixel) => pixel);
    // The last mask keeps all.
    const count = windows.length + 1;
    const write = (_image: number, mask: number, keep: Float32Array): void => {
      keep.fill(1);
      if (mask < windows.length) {
        paint(windows[mask], (pixel) => {
          keep[pixel] = 0;
        });
      }
    };
    const masks = { count, segments, segmentCount: pixels, baselines, write };
    const scores = await maskedScores(name, model, x, targets, masks, options);
    const covered = new Float64Array(pixels);
    for (const each of windows) paint(each, (pixel) => covered[pixel]++);
    const map = new Float64Array(images * pixels);
    for (let image = 0; image < images; image++) {
      windows.forEach((each, mask) => {
        const drop = scores[image * count + windows.length] - scores[image * count + mask];
        paint(each, (pixel) => {
          map[image * pixels + pixel] += drop / covered[pixel];
        });
      });
    }
    return joined(tensor(x.gpu, Float32Array.from(map), [images, 1, height, width]), options);
  } finally {
    baselines.dispose();
  }
}

/**
 * Where windows start along a side: every so many pixels, the last one at the border, so that all are
 * covered.
 */
function starts(size: number, window: number, stride: number): number[] {
  const last = size - window;
  const found: number[] = [];
  for (let start = 0; start < last; start += Math.min(stride, window)) found.push(start);
  return [...found, last];
}

function pair(name: string, option: string, value: number | readonly [number, number]): readonly number[] {
  const both = typeof value === "number" ? [value, value] : value;
  for (const size of both) checkCount(name, option, size);
  return both;
}
