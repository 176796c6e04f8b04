/** What convolution and pooling share: how windows are laid over an image. */

/** One number for both axes, or [height, width]. */
export type Pair = number | readonly number[];

/** One number for all sides, [height, width], or [top, left, bottom, right]. */
export type Padding = number | readonly number[];

export function pairOf(value: Pair): [number, number] {
  if (typeof value === "number") return [value, value];
  if (value.length !== 2) throw new Error(`a pair of ${value.length} numbers`);
  return [value[0], value[1]];
}

export function sidesOf(padding: Padding): { top: number; left: number; bottom: number; right: number } {
  if (typeof padding === "number") return { top: padding, left: padding, bottom: padding, right: padding };
  if (padding.length === 2) {
    return { top: padding[0], left: padding[1], bottom: padding[0], right: padding[1] };
  }
  if (padding.length !== 4) throw new Error(`a padding of ${padding.length} numbers`);
  return { top: padding[0], left: padding[1], bottom: padding[2], right: padding[3] };
}

/** How many windows fit along one axis. */
export function windowCount(
  length: number,
  kernel: number,
  stride: number,
  before: number,
  after: number,
  dilation = 1,
): number {
  const count = Math.floor((length + before + after - dilation * (kernel - 1) - 1) / stride) + 1;
  if (count < 1) throw new Error(`a window of ${kernel} (dilation ${dilation}) on ${length} elements`);
  return count;
}
