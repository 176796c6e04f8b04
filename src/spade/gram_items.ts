/**
 * The work of a Hessian H = 2/N Σ x xᵀ, cut into tiles: which places of the images are multiplied with which, and
 * where the sums go. Lengths and places are in vec4 of an image with its channels last and its border of zeros.
 *
 * With stride 1 the product of the taps (i, j) and (i', j') summed over all windows is a correlation that depends on
 * the distance (i' - i, j' - j) alone, but for the windows' first and last rows and columns. So it is summed once a
 * distance and class of rows and columns (the inside, and each of the kernel - 1 ones on either side), and every pair
 * of taps takes the classes that its windows cover: 13 C² products a position in place of 45 C² for a 3 × 3 filter.
 */
import { spread } from "../gpu/spread.js";
import type { ConvGeometry } from "../ops/conv_geometry.js";

/** A layer's windows on images with their channels last. */
export interface GramShape {
  /** Images a sample. */
  readonly images: number;
  readonly groups: number;
  /** Channels a group, and as many in vec4. */
  readonly channels: number;
  readonly blocks: number;
  /** Of the images with their border. */
  readonly rows: number;
  readonly columns: number;
  readonly kernel: readonly [height: number, width: number];
  /** Of the windows. */
  readonly positions: readonly [rows: number, columns: number];
  readonly stride: readonly [y: number, x: number];
  readonly dilation: readonly [y: number, x: number];
  /** Zeros above and to the left, and where the image ends. */
  readonly inside: readonly [top: number, left: number, bottom: number, right: number];
  /** Sums by distance of the taps. */
  readonly shared: boolean;
}

export interface Tile {
  readonly rows: number;
  readonly columns: number;
}

export const WORDS_AN_ITEM = 16;

/** A product of all channels at one place with a run of places side by side, not cut into tiles yet. */
interface Product {
  readonly a: number;
  readonly b: number;
  readonly out: number;
  readonly columns: number;
  /** Length of a row of the block that the sums go to. */
  readonly stride: number;
  readonly positions: readonly [rows: number, columns: number];
}

export function gramShape(geometry: ConvGeometry): GramShape {
  const { images, groups, wideChannels, y, x } = geometry;
  const extent = (axis: typeof y) => (axis.narrow - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1;
  const plain = [y, x].every(
    ({ stride, dilation, kernel, narrow }) => stride === 1 && dilation === 1 && narrow >= kernel,
  );
  return {
    images,
    groups,
    channels: wideChannels,
    blocks: Math.ceil(wideChannels / 4),
    rows: extent(y),
    columns: extent(x),
    kernel: [y.kernel, x.kernel],
    positions: [y.narrow, x.narrow],
    stride: [y.stride, x.stride],
    dilation: [y.dilation, x.dilation],
    inside: [y.padding, x.padding, y.padding + y.wide, x.padding + x.wide],
    shared: plain && y.kernel * x.kernel > 1,
  };
}

/** The vec4 of all sums of one sample, group and slice. */
export function partSize({ blocks, kernel: [height, width], shared }: GramShape): number {
  const square = 4 * blocks * blocks;
  if (!shared) return (height * width) ** 2 * square;
  return (2 * height - 1) * (2 * width - 1) * height * (2 * width - 1) * square;
}

/** Floating-point operations of one sample, all groups, multiply-adds counted as two. */
export function gramWork(shape: GramShape): number {
  const products = shape.shared ? sharedProducts(shape) : plainProducts(shape);
  const operations = products.reduce(
    (sum, { columns, positions: [rows, width] }) => sum + columns * rows * width,
    0,
  );
  return 2 * operations * 16 * shape.blocks * shape.images * shape.groups;
}

/** The table of all tiles, as the kernels take it; those next to each other take unlike times (see `spread`). */
export function gramItems(shape: GramShape, tile: Tile): Uint32Array<ArrayBuffer> {
  const items: number[][] = [];
  for (const product of shape.shared ? sharedProducts(shape) : plainProducts(shape)) {
    const loops = loopsOf(shape, product);
    for (let row = 0; row < shape.blocks; row += tile.rows) {
      for (let column = 0; column < product.columns; column += tile.columns) {
        const columns = Math.min(tile.columns, product.columns - column);
        // What lies left of the diagonal of a place's products with itself is not needed.
        if (product.a === product.b && column + columns <= row) continue;
        const out = product.out + 4 * row * product.stride + column;
        const counts = loops.map(({ count }) => count);
        const steps = loops.map(({ step }) => step);
        const rows = Math.min(tile.rows, shape.blocks - row);
        const places = [product.a + row, product.b + column, out, 0];
        items.push([...places, rows, columns, product.stride, 0, ...counts, 0, ...steps, 0]);
      }
    }
  }
  const stride = spread(items.length);
  return Uint32Array.from(items.flatMap((_, index) => items[(index * stride) % items.length]));
}

/** By distance, and by class of the first tap's row and column. */
function sharedProducts(shape: GramShape): Product[] {
  const { blocks, columns: width, kernel, positions, inside } = shape;
  const [kernelY, kernelX] = kernel;
  const run = 2 * kernelX - 1;
  const classesY = classesOf(kernelY, positions[0], inside[0], inside[2]);
  const classesX = classesOf(kernelX, positions[1], inside[1], inside[3]);
  const block = 4 * blocks * run * blocks;
  return classesY.flatMap((y) =>
    classesX.flatMap((x) =>
      Array.from({ length: y.furthest + 1 }, (_, distance) => {
        const nearest = distance === 0 ? 0 : -x.back;
        return {
          a: (y.start * width + x.start) * blocks,
          b: ((y.start + distance) * width + x.start + nearest) * blocks,
          out: ((y.index * run + x.index) * kernelY + distance) * block + (nearest + kernelX - 1) * blocks,
          columns: (x.furthest - nearest + 1) * blocks,
          stride: run * blocks,
          positions: [y.count, x.count] as const,
        };
      }),
    ),
  );
}

/** A class of rows or columns: where it is, and how far a second tap may lie behind and before the first. */
interface PlaceClass {
  readonly index: number;
  readonly start: number;
  readonly count: number;
  readonly furthest: number;
  readonly back: number;
}

function classesOf(kernel: number, positions: number, top: number, bottom: number): PlaceClass[] {
  const classes = Array.from({ length: 2 * kernel - 1 }, (_, index) => {
    const past = index - kernel;
    const start = past < 0 ? index : positions + past;
    const count = index === kernel - 1 ? positions - kernel + 1 : 1;
    const furthest = past < 0 ? kernel - 1 : kernel - 2 - past;
    return { index, start, count, furthest, back: Math.min(start, kernel - 1) };
  });
  return classes.filter(
    ({ index }) => index >= firstClass(top, kernel) && index < endClass(bottom, kernel, positions),
  );
}

/** Classes of rows in the border hold zeros only and are left out. */
export function firstClass(top: number, kernel: number): number {
  return Math.min(top, kernel - 1);
}

export function endClass(bottom: number, kernel: number, positions: number): number {
  return Math.max(kernel, Math.min(kernel + bottom - positions, 2 * kernel - 1));
}

/** Every tap with every tap that is not before it. */
function plainProducts({ blocks, columns: width, kernel, positions, dilation }: GramShape): Product[] {
  const [height, taps] = [kernel[0], kernel[0] * kernel[1]];
  const placeOf = (tap: number): number =>
    (Math.floor(tap / kernel[1]) * dilation[0] * width + (tap % kernel[1]) * dilation[1]) * blocks;
  const products: Product[] = [];
  for (let first = 0; height > 0 && first < taps; first++) {
    for (let second = first; second < taps; second++) {
      const out = (first * taps + second) * 4 * blocks * blocks;
      products.push({
        a: placeOf(first),
        b: placeOf(second),
        out,
        columns: blocks,
        stride: blocks,
        positions,
      });
    }
  }
  return products;
}

/**
 * The three loops over positions, that innermost which wastes least when taken in fours, of equal ones the longest; 0
 * stands for the images.
 */
function loopsOf(shape: GramShape, { positions }: Product): { count: number; step: number }[] {
  const { blocks, columns, rows, groups, stride, images } = shape;
  const loops = [
    { count: positions[1], step: stride[1] * blocks, length: positions[1] },
    { count: positions[0], step: stride[0] * columns * blocks, length: positions[0] },
    { count: 0, step: groups * rows * columns * blocks, length: images },
  ];
  const use = ({ length }: { length: number }): number => length / (4 * Math.ceil(length / 4));
  return loops.sort((p, q) => use(q) - use(p) || q.length - p.length);
}
