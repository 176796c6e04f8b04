/** IEEE 754 binary16 on the host: 1 sign, 5 exponent (bias 15) and 10 fraction bits. */

/** Numbers from here on round to infinity: half way from the largest float16, 65504, to what would follow it. */
export const BEYOND_F16 = 65520;

const SMALLEST_EXPONENT = -14;
const float = new Float64Array(1);
const floatWords = new Uint32Array(float.buffer);
const HIGH_WORD = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1 ? 1 : 0;

/** The bits of the nearest float16; of two that are equally near, the even one. */
export function halfBits(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size >= BEYOND_F16) return sign | 0x7c00;
  float[0] = size;
  const exponent = Math.max((floatWords[HIGH_WORD] >>> 20) - 1023, SMALLEST_EXPONENT);
  // In steps of the last fraction bit: 1024 to 2048, less below the normal numbers. A carry moves the exponent on.
  const steps = size * 2 ** (10 - exponent);
  const below = Math.floor(steps);
  const rest = steps - below;
  const up = rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? 1 : 0;
  return sign | (((exponent - SMALLEST_EXPONENT) << 10) + below + up);
}

/** The number that the bits of a float16 stand for. */
export function halfToNumber(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) {
    return sign * fraction * 2 ** -24;
  }
  if (exponent === 31) {
    return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  }
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
