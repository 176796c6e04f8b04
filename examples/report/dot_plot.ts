// Values with their spread as dots on lines, as SVG.
import { scaleLinear } from "d3-scale";
import { escapeHtml } from "./page.js";

export interface Dot {
  readonly title: string;
  readonly value: number;
  /** Drawn to both sides. */
  readonly spread: number;
  /** Draws it in the second color. */
  readonly marked?: boolean;
}

const WIDTH = 460;
const ROW = 19;
const MARGIN = { right: 18, top: 26, bottom: 34 };
/** Room for names: at least this, and so much a letter of the longest. */
const LEFT = 178;
const LETTER = 6.3;

/**
 * A line a dot, in the order given, over a linear axis.
 * @param guide a value that all are compared with: a dashed line
 */
export function dotPlot(
  title: string,
  dots: readonly Dot[],
  { guide, format = String }: { guide?: number; format?: (value: number) => string } = {},
): string {
  const ends = dots.flatMap(({ value, spread }) => [value - spread, value + spread]);
  const height = MARGIN.top + ROW * dots.length + MARGIN.bottom;
  const left = Math.max(LEFT, 14 + LETTER * Math.max(...dots.map((dot) => dot.title.length)));
  const x = scaleLinear()
    .domain([Math.min(...ends), Math.max(...ends)])
    .nice()
    .range([left, WIDTH - MARGIN.right]);
  const bottom = height - MARGIN.bottom;
  const axis = x
    .ticks(5)
    .map(
      (tick) =>
        `<line class="axis" x1="${x(tick)}" x2="${x(tick)}" y1="${MARGIN.top}" y2="${bottom}"/>` +
        `<text x="${x(tick)}" y="${bottom + 18}" text-anchor="middle">${escapeHtml(format(tick))}</text>`,
    );
  const dashed =
    guide === undefined
      ? ""
      : `<line x1="${x(guide)}" x2="${x(guide)}" y1="${MARGIN.top}" y2="${bottom}" stroke="var(--second)" ` +
        'stroke-width="1.5" stroke-dasharray="4 4"/>';
  const lines = dots.map(({ title: name, value, spread, marked }, index) => {
    const y = MARGIN.top + ROW * (index + 0.5);
    const color = marked ? "second" : "first";
    return (
      `<text x="${left - 10}" y="${y + 4}" text-anchor="end">${escapeHtml(name)}</text>` +
      `<line x1="${x(value - spread)}" x2="${x(value + spread)}" y1="${y}" y2="${y}" ` +
      `stroke="var(--${color})" stroke-width="2" stroke-opacity="0.5"/>` +
      `<circle class="${color}" cx="${x(value)}" cy="${y}" r="4"/>`
    );
  });
  return (
    `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeHtml(title)}">` +
    `<text x="${left}" y="15">${escapeHtml(title)}</text>${[...axis, dashed, ...lines].join("")}</svg>`
  );
}
