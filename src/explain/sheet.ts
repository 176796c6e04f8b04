/** Pictures side by side, with labels: dense | trace, a row a method. */
import { ShapeError } from "../gpu/errors.js";
import type { Pixels } from "../io/pixels.js";
import type { Color } from "./colors.js";
import { drawText, GLYPH_HEIGHT, textWidth } from "./font.js";

export interface SheetRow {
  readonly label?: string;
  /** A number or a word below each picture, such as its AUC. */
  readonly captions?: readonly (string | undefined)[];
  /** Of any sizes; undefined leaves a place empty. */
  readonly pictures: readonly (Pixels | undefined)[];
}

export interface SheetOptions {
  readonly title?: string;
  /** Above the columns. */
  readonly columns?: readonly string[];
  /** Of the letters; default 2. */
  readonly textZoom?: number;
  readonly background?: Color;
  readonly ink?: Color;
}

const GAP = 8;

/**
 * One picture of many.
 * @param rows pictures from the left, with a label before them
 * @returns RGB
 * @throws ShapeError without pictures
 * @example
 * const sheet = pictureSheet([{ label: "lrp", pictures: [heatMap(dense), heatMap(trace)] }], { columns:
 * ["dense", "trace"] }); await writeFile("sheet.png", await encodePng(sheet));
 */
export function pictureSheet(
  rows: readonly SheetRow[],
  { title, columns = [], textZoom = 2, background = [255, 255, 255], ink = [32, 36, 44] }: SheetOptions = {},
): Pixels {
  const count = Math.max(0, ...rows.map(({ pictures }) => pictures.length), columns.length);
  if (rows.length === 0 || count === 0)
    throw new ShapeError("pictureSheet: there are no pictures; give at least one row of one");
  const line = GLYPH_HEIGHT * textZoom + GAP / 2;
  const wide = (text = ""): number => textWidth(text) * textZoom;
  const labelWidth = Math.max(0, ...rows.map(({ label }) => wide(label)));
  const widths = Array.from({ length: count }, (_, column) =>
    Math.max(
      wide(columns[column]),
      ...rows.map(({ pictures, captions }) =>
        Math.max(pictures[column]?.width ?? 0, wide(captions?.[column])),
      ),
    ),
  );
  const heights = rows.map(({ pictures }) => Math.max(0, ...pictures.map((picture) => picture?.height ?? 0)));
  const captionHeights = rows.map(({ captions }) => (captions?.some((caption) => caption) ? line : 0));
  const top = GAP + (title ? line + GAP / 2 : 0) + (columns.length > 0 ? line : 0);
  const left = GAP + (labelWidth > 0 ? labelWidth + GAP : 0);
  const width = Math.max(left + sum(widths) + GAP * count, 2 * GAP + wide(title));
  const height = top + sum(heights) + sum(captionHeights) + GAP * rows.length;
  const canvas = new Canvas(width, height, background);
  const write = (text: string | undefined, x: number, y: number): void => {
    if (text) canvas.text(text, Math.round(x), Math.round(y), textZoom, ink);
  };
  write(title, GAP, GAP);
  const lefts = widths.map((_, column) => left + sum(widths.slice(0, column)) + GAP * column);
  columns.forEach((text, column) => {
    write(text, lefts[column] + (widths[column] - wide(text)) / 2, top - line);
  });
  let y = top;
  rows.forEach(({ label, pictures, captions }, row) => {
    write(label, GAP, y + (heights[row] - GLYPH_HEIGHT * textZoom) / 2);
    pictures.forEach((picture, column) => {
      const middle = lefts[column] + widths[column] / 2;
      if (picture) canvas.picture(picture, Math.round(middle - picture.width / 2), y);
      const caption = captions?.[column];
      write(caption, middle - wide(caption) / 2, y + heights[row] + GAP / 4);
    });
    y += heights[row] + captionHeights[row] + GAP;
  });
  return { width, height, channels: 3, data: canvas.data };
}

class Canvas {
  readonly data: Uint8Array;

  constructor(
    readonly width: number,
    readonly height: number,
    background: Color,
  ) {
    this.data = new Uint8Array(3 * width * height);
    for (let i = 0; i < this.data.length; i += 3) this.data.set(background, i);
  }

  /** RGB, gray, or RGBA over what is there. */
  picture({ width, height, channels, data }: Pixels, left: number, top: number): void {
    for (let pixel = 0; pixel < width * height; pixel++) {
      const to = 3 * ((top + Math.floor(pixel / width)) * this.width + left + (pixel % width));
      const alpha = channels === 4 ? data[4 * pixel + 3] / 255 : 1;
      for (let c = 0; c < 3; c++) {
        const value = data[channels * pixel + (channels === 1 ? 0 : c)];
        this.data[to + c] = Math.round(alpha * value + (1 - alpha) * this.data[to + c]);
      }
    }
  }

  text(text: string, left: number, top: number, zoom: number, ink: Color): void {
    drawText(text, (x, y) => {
      for (let i = 0; i < zoom * zoom; i++) {
        const [column, row] = [left + x * zoom + (i % zoom), top + y * zoom + Math.floor(i / zoom)];
        this.data.set(ink, 3 * (row * this.width + column));
      }
    });
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
