// Attacked images as a strip: the image, what was added to it ten times over, the result.
import { interpolateRdBu } from "d3-scale-chromatic";
import { encodePng } from "handgrad/io";

export interface AttackedImage {
  /** Gray pixels from 0 to 1. */
  readonly clean: ArrayLike<number>;
  /** What the attack added. */
  readonly delta: ArrayLike<number>;
}

type Color = readonly [number, number, number];

const SCALE = 3;
const GAP = 4;
const AMPLIFIED = 10;
const BACKGROUND: Color = [245, 247, 250];

const gray = (value: number): Color => {
  const level = Math.round(255 * Math.min(1, Math.max(0, value)));
  return [level, level, level];
};

/** Blue is brighter, red darker, white untouched. */
function signed(value: number): Color {
  const [, r, g, b] = /rgb\((\d+), (\d+), (\d+)\)/.exec(
    interpolateRdBu(0.5 + 0.5 * Math.min(1, Math.max(-1, value))),
  ) as RegExpExecArray;
  return [Number(r), Number(g), Number(b)];
}

/** A PNG: a column an image; rows: image, δ × 10, attacked image. @param side of an image in pixels */
export async function stripPng(images: readonly AttackedImage[], side: number): Promise<Uint8Array> {
  const cell = side * SCALE + GAP;
  const [width, height] = [images.length * cell + GAP, 3 * cell + GAP];
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) data.set(BACKGROUND, 3 * i);
  for (const [column, { clean, delta }] of images.entries()) {
    const rows: ((i: number) => Color)[] = [
      (i) => gray(clean[i]),
      (i) => signed(AMPLIFIED * delta[i]),
      (i) => gray(clean[i] + delta[i]),
    ];
    for (const [row, colorAt] of rows.entries()) {
      for (let y = 0; y < side * SCALE; y++) {
        for (let x = 0; x < side * SCALE; x++) {
          const color = colorAt(Math.floor(y / SCALE) * side + Math.floor(x / SCALE));
          data.set(color, 3 * ((GAP + row * cell + y) * width + GAP + column * cell + x));
        }
      }
    }
  }
  return encodePng({ width, height, channels: 3, data });
}

/** Pixels of an image on that strip, for captions under it. */
export const stripColumn = (side: number): number => side * SCALE + GAP;
