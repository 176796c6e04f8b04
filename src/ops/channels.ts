/** How kernels that work channel by channel divide a tensor [n, channels, …] among their invocations. */
import { type Shape, sizeOf } from "../gpu/kernel.js";

/** About so many elements make a segment; a plane longer than this is cut in portions. */
const SEGMENT_LENGTH = 512;
/** The sums of so many images at most are added one after the other. */
const MOST_IMAGES = 64;
/** The `CHUNK` of the kernels that walk lines. */
const CHUNK = 8;

/**
 * For sums over each channel: `segments` pieces of a channel, each of some images and a portion of their
 * planes. Where planes have one element, a channel over all images is seen as one plane, whose elements stand
 * `step` apart.
 */
export function channelSegments(x: Shape) {
  const [count, channels] = x;
  const size = sizeOf(x.slice(2));
  const flat = size === 1;
  const [images, plane] = flat ? [1, count] : [count, size];
  const groupSize = Math.min(MOST_IMAGES, Math.max(1, Math.floor(SEGMENT_LENGTH / Math.max(1, plane))));
  const portionSize = Math.min(Math.max(1, plane), SEGMENT_LENGTH);
  const portions = Math.ceil(plane / portionSize);
  return {
    images,
    channels,
    plane,
    plane_stride: flat ? 1 : plane,
    step: flat ? channels : 1,
    segments: Math.ceil(images / groupSize) * portions,
    portions,
    group_size: groupSize,
    portion_size: portionSize,
  };
}

/**
 * For maps: lines of one channel each, in chunks. A line is a plane of an image; where planes have one
 * element, it is a channel over all images.
 */
export function channelLines(x: Shape) {
  const [images, channels] = x;
  const plane = sizeOf(x.slice(2));
  const flat = plane === 1;
  const length = flat ? images : plane;
  return {
    lines: flat ? channels : images * channels,
    length,
    step: flat ? channels : 1,
    line_stride: flat ? 1 : plane,
    channels,
    chunks: Math.ceil(length / CHUNK),
    lines_first: flat ? 1 : 0,
  };
}
