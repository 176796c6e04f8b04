// Forgetting as a section of a page: a picture and a table a stream, and how accuracy falls from task to task.
import { dotPlot } from "../report/dot_plot.js";
import { escapeHtml, figure, htmlTable, type Section } from "../report/page.js";
import { cellsOf, FORGET_HEAD, type ForgettingResults, titleOf } from "./forget.js";
import type { ForgettingRow } from "./forget_rows.js";

const percent = (share: number): string => `${Math.round(100 * share)} %`;

export function forgettingSection({ rows, comparisons }: ForgettingResults): Section {
  const streams = new Map<string, ForgettingRow[]>();
  for (const row of rows) {
    const name = `${row.stream}, ${row.data}`;
    streams.set(name, [...(streams.get(name) ?? []), row]);
  }
  const parts = [...streams].map(([name, own]) => {
    const [{ scenario, seeds }] = own;
    const plain = own.find(({ rule, choosing, strategy }) => isPlain({ rule, choosing, strategy }));
    const shown = own.filter(({ choosing, diverged }) => choosing !== "ladder" && diverged === 0);
    const dots = shown.map((row) => ({
      title: titleOf(row),
      value: row.acc,
      spread: row.sd,
      marked: row.strategy !== "naive" || row.rule === "backpropagation" || row.rule === "adagrad",
    }));
    const best = own.find(
      (row) => row.strategy === "naive" && !["backpropagation", "adagrad"].includes(row.rule),
    );
    const maps = [plain, best].flatMap((row) => (row ? [matrix(row)] : []));
    return `<h3>${escapeHtml(`${name} (${scenario}, ${seeds} seeds)`)}</h3>
<div class="pair">${figure(
      dotPlot(name, dots, { guide: plain?.acc, format: percent }),
      "Mean accuracy over all tasks at the end (ACC), with the standard deviation over seeds. The dashed line is " +
        "backpropagation at its best constant rate; backpropagation, with and without strategies, and Adagrad have the second color.",
    )}
${maps.join("\n")}</div>
${htmlTable(
  FORGET_HEAD,
  own.map((row) => cellsOf(row, comparisons)),
)}`;
  });
  const html = `<p>ACC is the mean of the last row of R, learning accuracy the mean of its diagonal, forgetting the mean over
earlier tasks of the best accuracy before the end less that at the end (Chaudhry et al. 2018). Differences are of ACC in points,
of paired seeds, with half of the 95 % interval: to backpropagation at its best constant rate, with its best schedule, with
Adagrad (each the better of what was found), and at the constant rate at which it learns as well as the rule.</p>
${parts.join("\n")}
<p><small>* some seeds learn better or worse than backpropagation at any rate of the ladder.</small></p>`;
  return { title: "Forgetting", html };
}

const isPlain = ({
  rule,
  choosing,
  strategy,
}: Pick<ForgettingRow, "rule" | "choosing" | "strategy">): boolean =>
  rule === "backpropagation" && choosing === "constant" && strategy === "naive";

const CELL = 44;

/** R as a picture: a row for each task learnt, a column for each task tested. */
function matrix(row: ForgettingRow): string {
  const { R } = row;
  const size = R[0].length;
  const cells = R.flatMap((line, i) =>
    line.map((value, j) => {
      const [x, y] = [34 + j * CELL, 30 + i * CELL];
      return (
        `<rect x="${x}" y="${y}" width="${CELL - 2}" height="${CELL - 2}" fill="var(--first)" ` +
        `fill-opacity="${(value ** 2).toFixed(3)}"/>` +
        `<text x="${x + CELL / 2 - 1}" y="${y + CELL / 2 + 4}" text-anchor="middle" style="fill:var(--${value > 0.75 ? "paper" : "ink"})">` +
        `${Math.round(100 * value)}</text>`
      );
    }),
  );
  const heads = Array.from({ length: size }, (_, j) => {
    const middle = j * CELL + CELL / 2;
    return (
      `<text x="${34 + middle}" y="20" text-anchor="middle">${j + 1}</text>` +
      `<text x="18" y="${34 + middle}" text-anchor="middle">${j + 1}</text>`
    );
  });
  const side = 36 + size * CELL;
  const title = titleOf(row);
  return figure(
    `<svg viewBox="0 0 ${side} ${side}" role="img" aria-label="${escapeHtml(`R of ${title}`)}">${[...heads, ...cells].join("")}</svg>`,
    `${title}: accuracy in percent on task (column) after learning task (row), mean over seeds.`,
  );
}
