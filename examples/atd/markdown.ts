// The experiment's tables as Markdown.
import { markdownTable } from "../experiment/markdown_table.js";
import { TEST_OUTS } from "./data.js";
import type { ExperimentResult } from "./experiment.js";
import { type AblationRow, isHeadline, type Row, titleOf } from "./rows.js";

const three = (value: number | undefined): string =>
  value === undefined ? "" : value.toFixed(3).replace(/^0/, "");

const interval = ({ ci }: Pick<Row, "ci">): string => `${three(ci[0])}–${three(ci[1])}`;

const SETTINGS = ["clean", "in", "out", "both"] as const;

/** Clean, in, out and both of a detector or an ablation. */
function settingsOf(rows: readonly (Row | AblationRow)[]): string[] {
  const cells = SETTINGS.map((setting) => rows.find((row) => row.setting === setting));
  const both = cells[3];
  return [
    ...cells.map((row) => three(row?.auroc)),
    both ? interval(both) : "",
    String(Math.max(...rows.map(({ seeds }) => seeds))),
  ];
}

export function markdownOf({ rows, ablations, verdicts }: ExperimentResult): string {
  const parts: string[] = [];
  const head = [...SETTINGS, "95 % of both", "seeds"];
  for (const testOut of TEST_OUTS) {
    const own = rows.filter((row) => row.testOut === testOut && isHeadline(row));
    const names = [...new Set(own.map(titleOf))];
    if (names.length === 0) continue;
    const body = names.map((name) => [name, ...settingsOf(own.filter((row) => titleOf(row) === name))]);
    const strengths = [...new Set(own.map(({ attack }) => attack))].filter((attack) => attack !== "none");
    parts.push(
      `Test-out **${testOut}**, ε = 16/255, ${strengths.join(", ")}:\n`,
      markdownTable(["detector", ...head], body),
      "",
    );
  }
  const both = rows.filter((row) => row.testOut === "easy" && row.setting === "both");
  const clean = rows.filter((row) => row.testOut === "easy" && row.setting === "clean");
  const curved = [...new Set(both.filter((row) => !isHeadline(row)).map(titleOf))];
  if (curved.length > 0) {
    const levels = [...new Set(both.map(({ epsilon }) => epsilon))].sort((a, b) => a - b);
    const body = curved.map((name) => [
      name,
      three(clean.find((row) => titleOf(row) === name)?.auroc),
      ...levels.map((epsilon) =>
        three(both.find((row) => row.epsilon === epsilon && titleOf(row) === name)?.auroc),
      ),
    ]);
    const columns = levels.map((epsilon) => `${Math.round(255 * epsilon)}`);
    parts.push(
      "Both sides attacked, test-out easy, by ε/255:\n",
      markdownTable(["detector", "0", ...columns], body),
      "",
    );
  }
  const easy = ablations.filter(({ testOut }) => testOut === "easy");
  if (easy.length > 0) {
    const names = [...new Set(easy.map(({ title }) => title))];
    const body = names.map((title) => [title, ...settingsOf(easy.filter((row) => row.title === title))]);
    parts.push("Ablations, test-out easy, PGD-20:\n", markdownTable(["what", ...head], body), "");
  }
  parts.push(
    markdownTable(
      ["claim", "verdict", ""],
      verdicts.map(({ claim, verdict, detail }) => [claim, verdict, detail]),
    ),
  );
  return `${parts.join("\n")}\n`;
}
