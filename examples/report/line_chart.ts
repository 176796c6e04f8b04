// Line charts as SVG.
import { scaleLinear } from "d3-scale";
import { line } from "d3-shape";
import { escapeHtml } from "./page.js";

export interface Series {
  readonly title: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

const WIDTH = 420;
const HEIGHT = 240;
const MARGIN = { left: 52, right: 16, bottom: 40 };
const LEGEND_ROW = 17;
const LEGEND_COLUMNS = 2;
const CLASSES = ["first", "second", "third", "fourth", "fifth"];
/** Apart in form too, so that equal lines can be seen, and told apart without colors. */
const DASHES = ["", "5 5", "1 4", "9 4", "9 3 2 3"];
const MARKS = ["●", "◦", "▴", "▪", "◆"];

/** Up to five series over a common pair of linear axes. */
export function lineChart(
  title: string,
  xTitle: string,
  series: readonly Series[],
  { yFormat = String, dots = true }: { yFormat?: (value: number) => string; dots?: boolean } = {},
): string {
  const points = series.flatMap((one) => one.points);
  const top = 11 + LEGEND_ROW * Math.ceil(series.length / LEGEND_COLUMNS);
  const x = scaleLinear()
    .domain(extent(points.map(([value]) => value)))
    .range([MARGIN.left, WIDTH - MARGIN.right]);
  const y = scaleLinear()
    .domain(extent(points.map(([, value]) => value)))
    .nice()
    .range([HEIGHT - MARGIN.bottom, top]);
  const path = line<readonly [number, number]>(
    (point) => x(point[0]),
    (point) => y(point[1]),
  );
  const yAxis = y
    .ticks(5)
    .map(
      (tick) =>
        `<line class="axis" x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${y(tick)}" y2="${y(tick)}"/>` +
        `<text x="${MARGIN.left - 6}" y="${y(tick) + 4}" text-anchor="end">${escapeHtml(yFormat(tick))}</text>`,
    );
  const whole = x.ticks(6).filter(Number.isInteger);
  const xAxis = whole.map(
    (tick) => `<text x="${x(tick)}" y="${HEIGHT - MARGIN.bottom + 18}" text-anchor="middle">${tick}</text>`,
  );
  const lines = series.map(({ points: own }, index) => {
    const name = CLASSES[index];
    const dash = DASHES[index] && ` stroke-dasharray="${DASHES[index]}"`;
    const circles = own.map(
      ([px, py]) => `<circle class="${name}" cx="${x(px)}" cy="${y(py)}" r="${index === 0 ? 3.5 : 2}"/>`,
    );
    return `<path class="${name}" d="${path(own) ?? ""}" fill="none" stroke-width="2.5"${dash}/>${dots ? circles.join("") : ""}`;
  });
  const legend = series.map(
    (one, index) =>
      `<text class="${CLASSES[index]}" x="${MARGIN.left + (index % LEGEND_COLUMNS) * 190}" ` +
      `y="${14 + LEGEND_ROW * Math.floor(index / LEGEND_COLUMNS)}">${MARKS[index]} ${escapeHtml(one.title)}</text>`,
  );
  const label = `<text x="${(MARGIN.left + WIDTH) / 2}" y="${HEIGHT - 6}" text-anchor="middle">${escapeHtml(xTitle)}</text>`;
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(title)}">${[...yAxis, ...xAxis, ...lines, ...legend, label].join("")}</svg>`;
}

function extent(values: readonly number[]): [number, number] {
  return [Math.min(...values), Math.max(...values)];
}
