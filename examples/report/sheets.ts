// Sheets of small pictures as PNG.
import { interpolateRdBu } from "d3-scale-chromatic";
import { encodePng } from "handgrad/io";

type Color = readonly [number, number, number];

const BACKGROUND: Color = [245, 247, 250];
export const RIGHT: Color = [30, 142, 90];
export const WRONG: Color = [192, 57, 43];

/** A glyph a digit, 3 × 5, a row an octal figure. */
const GLYPHS = ["75557", "26227", "71747", "71317", "55711", "74717", "74757", "71122", "75757", "75717"];

/** An RGB picture that is drawn on. */
class Canvas {
  readonly data: Uint8Array;

  constructor(
    readonly width: number,
    readonly height: number,
  ) {
    this.data = new Uint8Array(width * height * 3);
    this.fill(0, 0, width, height, BACKGROUND);
  }

  fill(left: number, top: number, width: number, height: number, color: Color): void {
    for (let y = top; y < top + height; y++) {
      for (let x = left; x < left + width; x++) this.data.set(color, 3 * (y * this.width + x));
    }
  }

  digit(digit: number, left: number, top: number, scale: number, color: Color): void {
    [...GLYPHS[digit]].forEach((row, y) => {
      for (let x = 0; x < 3; x++) {
        if ((Number(row) >> (2 - x)) & 1) this.fill(left + x * scale, top + y * scale, scale, scale, color);
      }
    });
  }

  png(): Promise<Uint8Array> {
    return Promise.resolve(
      encodePng({ width: this.width, height: this.height, channels: 3, data: this.data }),
    );
  }
}

export interface LabelledImage {
  /** size × size, 0–1. */
  readonly pixels: ArrayLike<number>;
  readonly label: number;
  readonly prediction: number;
}

/**
 * Digits with the prediction below each: green where it is right; where it is wrong red, the true label in green
 * behind it.
 */
export function digitSheet(
  images: readonly LabelledImage[],
  size: number,
  columns: number,
): Promise<Uint8Array> {
  const scale = 2;
  const [cellWidth, cellHeight] = [size * scale + 12, size * scale + 32];
  const canvas = new Canvas(columns * cellWidth, Math.ceil(images.length / columns) * cellHeight);
  images.forEach(({ pixels, label, prediction }, index) => {
    const [left, top] = [(index % columns) * cellWidth + 6, Math.floor(index / columns) * cellHeight + 6];
    const right = label === prediction;
    canvas.fill(left - 2, top - 2, size * scale + 4, size * scale + 4, right ? RIGHT : WRONG);
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        const gray = Math.round(255 * pixels[y * size + x]);
        canvas.fill(left + x * scale, top + y * scale, scale, scale, [gray, gray, gray]);
      }
    }
    const below = top + size * scale + 5;
    canvas.digit(prediction, left, below, 3, right ? RIGHT : WRONG);
    if (!right) canvas.digit(label, left + 16, below, 3, RIGHT);
  });
  return canvas.png();
}

/**
 * The incoming weights of neurons as pictures: blue is positive, red negative, white zero; each on its own scale.
 * @param weights [size², neurons]
 */
export function weightSheet(
  weights: Float32Array,
  neurons: number,
  size: number,
  columns: number,
  shown: number,
): Promise<Uint8Array> {
  const scale = 2;
  const cell = size * scale + 4;
  const canvas = new Canvas(columns * cell, Math.ceil(shown / columns) * cell);
  for (let neuron = 0; neuron < shown; neuron++) {
    const own = Array.from({ length: size * size }, (_, pixel) => weights[pixel * neurons + neuron]);
    const largest = Math.max(...own.map(Math.abs), 1e-12);
    const [left, top] = [(neuron % columns) * cell + 2, Math.floor(neuron / columns) * cell + 2];
    own.forEach((weight, pixel) => {
      const color = parseColor(interpolateRdBu(0.5 + (0.5 * weight) / largest));
      canvas.fill(left + (pixel % size) * scale, top + Math.floor(pixel / size) * scale, scale, scale, color);
    });
  }
  return canvas.png();
}

/** d3's color maps give "rgb(r, g, b)". */
function parseColor(text: string): Color {
  const [r, g, b] = (text.match(/\d+/g) ?? []).map(Number);
  return [r, g, b];
}
