// The experiment as a page.
import { lineChart } from "../report/line_chart.js";
import { escapeHtml, figure, htmlTable, type Section } from "../report/page.js";
import { TEST_OUTS, type TestOut } from "./data.js";
import type { ExperimentResult } from "./experiment.js";
import { isHeadline, type Row, titleOf } from "./rows.js";

const SETTINGS = ["clean", "in", "out", "both"] as const;
const HEAD = ["detector", ...SETTINGS, "95 % of both", "seeds", "attack"];

const interval = ({ ci }: Pick<Row, "ci">): string => ci.map((value) => value.toFixed(3)).join("–");

/** AUROC at 16/255, a row a detector. */
function tableOf(rows: readonly Row[], testOut: TestOut): string {
  const own = rows.filter((row) => row.testOut === testOut && isHeadline(row));
  if (own.length === 0) return "";
  const body = [...new Set(own.map(titleOf))].map((name) => {
    const cells = SETTINGS.map((setting) =>
      own.find((row) => titleOf(row) === name && row.setting === setting),
    );
    const both = cells[3] as Row;
    return [
      name,
      ...cells.map((row) => row?.auroc.toFixed(3) ?? ""),
      interval(both),
      String(both.seeds),
      both.attack,
    ];
  });
  return `<h3>Test-out ${escapeHtml(testOut)}, ε = 16/255</h3>${htmlTable(HEAD, body)}`;
}

/** AUROC with both sides attacked, over ε. */
function curvesOf(rows: readonly Row[]): string {
  const own = rows.filter(
    (row) => row.testOut === "easy" && (row.setting === "both" || row.setting === "clean"),
  );
  const names = [...new Set(own.filter((row) => !isHeadline(row)).map(titleOf))];
  if (names.length === 0) return "";
  const series = names.map((title) => ({
    title,
    points: own
      .filter((row) => titleOf(row) === title)
      .map(({ epsilon, auroc }) => [255 * epsilon, auroc] as const)
      .sort((a, b) => a[0] - b[0]),
  }));
  const chart = lineChart("AUROC with both sides attacked", "ε in 255ths", series);
  return `<h3>Over ε</h3>${figure(chart, "AUROC, test-out easy, both sides attacked; at 0 without an attack. 0.5 is guessing.")}`;
}

function partsOf(ablations: ExperimentResult["ablations"]): string {
  const both = ablations.filter(({ testOut, setting }) => testOut === "easy" && setting === "both");
  if (both.length === 0) return "";
  const body = both.map((row) => [row.title, row.auroc.toFixed(3), interval(row), String(row.seeds)]);
  return `<h3>Ablations, both sides attacked</h3>${htmlTable(["what", "AUROC", "95 %", "seeds"], body)}`;
}

export function experimentSection({ rows, ablations, verdicts }: ExperimentResult): Section {
  const claims = verdicts.map(
    ({ claim, verdict, detail }) =>
      `<dt>${escapeHtml(claim)}</dt><dd><strong>${escapeHtml(verdict)}</strong>: ${escapeHtml(detail)}</dd>`,
  );
  const html = `<p>AUROC; each score attacked end to end, in and out; the best of all attacks counts for each image.</p>
${TEST_OUTS.map((testOut) => tableOf(rows, testOut)).join("\n")}
${curvesOf(rows)}
${partsOf(ablations)}
<h3>Verdicts</h3>
<dl>${claims.join("\n")}</dl>`;
  return { title: "Out-of-distribution detectors under attack", html };
}
