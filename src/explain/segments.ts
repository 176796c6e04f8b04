/** Which pixels go together: segments given, or a grid of squares. */
import { ShapeError, ValueError } from "../gpu/errors.js";
import { checkCount } from "./definition.js";

export interface SegmentOptions {
  /** The segment of each pixel, h · w whole numbers from 0; default a grid of squares of side `cell`. */
  readonly segments?: ArrayLike<number>;
  /** The side of the squares in pixels; default a tenth of the image's shorter side. */
  readonly cell?: number;
}

export interface Segments {
  readonly segments: Uint32Array;
  readonly segmentCount: number;
}

/**
 * The segments of images.
 * @throws ShapeError for another number of pixels, ValueError for numbers that are no segments
 */
export function segmentsOf(
  name: string,
  { segments, cell }: SegmentOptions,
  height: number,
  width: number,
): Segments {
  if (!segments)
    return grid(name, cell ?? Math.max(1, Math.round(Math.min(height, width) / 10)), height, width);
  const numbers = Array.from(segments);
  if (numbers.length !== height * width) {
    throw new ShapeError(
      `${name}: segments has ${numbers.length} numbers, and one for each of ${height} × ${width} pixels is taken`,
    );
  }
  const wrong = numbers.find((value) => !(Number.isInteger(value) && value >= 0 && value < numbers.length));
  if (wrong !== undefined)
    throw new ValueError(
      `${name}: segments holds ${wrong}, and whole numbers from 0 to ${numbers.length - 1} are taken`,
    );
  return {
    segments: Uint32Array.from(numbers),
    segmentCount: numbers.reduce((largest, value) => Math.max(largest, value), 0) + 1,
  };
}

function grid(name: string, cell: number, height: number, width: number): Segments {
  checkCount(name, "cell", cell);
  const columns = Math.ceil(width / cell);
  const segments = Uint32Array.from({ length: height * width }, (_, pixel) => {
    const [y, x] = [Math.floor(pixel / width), pixel % width];
    return Math.floor(y / cell) * columns + Math.floor(x / cell);
  });
  return { segments, segmentCount: columns * Math.ceil(height / cell) };
}

/** A map [n, 1, h, w] of one number a segment: [n · segments]. */
export function spread({ segments, segmentCount }: Segments, values: Float64Array): Float32Array {
  const images = values.length / segmentCount;
  const map = new Float32Array(images * segments.length);
  for (let image = 0; image < images; image++) {
    segments.forEach((segment, pixel) => {
      map[image * segments.length + pixel] = values[image * segmentCount + segment];
    });
  }
  return map;
}
