// The experiment as a page.
import { escapeHtml, htmlTable, type Section } from "../report/page.js";
import { TEST_OUTS } from "./data.js";
import type { ExperimentResult } from "./experiment.js";
import { titleOf } from "./rows.js";

export function experimentSection({ rows, ablations, verdicts }: ExperimentResult): Section {
  const settings = ["clean", "in", "out", "both"] as const;
  const tables = TEST_OUTS.map((testOut) => {
    const own = rows.filter((row) => row.testOut === testOut);
    const names = [...new Set(own.map(titleOf))];
    const epsilons = [...new Set(own.map(({ epsilon }) => epsilon))].filter((epsilon) => epsilon > 0);
    const body = names.flatMap((name) =>
      epsilons.flatMap((epsilon) => {
        const cells = settings.map((setting) =>
          own.find(
            (row) =>
              titleOf(row) === name &&
              row.setting === setting &&
              (setting === "clean" || row.epsilon === epsilon),
          ),
        );
        const [, , , both] = cells;
        if (!both) return [];
        return [
          [
            name,
            String(Math.round(255 * epsilon)),
            ...cells.map((row) => row?.auroc.toFixed(3) ?? ""),
            both.ci.map((value) => value.toFixed(3)).join("–"),
            String(both.seeds),
            both.attack,
          ],
        ];
      }),
    );
    const head = ["detector", "ε/255", ...settings, "95 % of both", "seeds", "attack"];
    return body.length > 0 ? `<h3>Test-out ${escapeHtml(testOut)}</h3>${htmlTable(head, body)}` : "";
  });
  const parts = ablations.filter(({ testOut, setting }) => testOut === "easy" && setting === "both");
  const html = `<p>AUROC; each score attacked end to end, in and out; the best of all attacks counts for each image.</p>
${tables.join("\n")}
${
  parts.length > 0
    ? `<h3>Ablations, both sides attacked</h3>${htmlTable(
        ["what", "AUROC", "95 %", "seeds"],
        parts.map((row) => [
          row.title,
          row.auroc.toFixed(3),
          row.ci.map((value) => value.toFixed(3)).join("–"),
          String(row.seeds),
        ]),
      )}`
    : ""
}
<h3>Verdicts</h3>
${htmlTable(
  ["claim", "verdict"],
  verdicts.map(({ claim, verdict, detail }) => [claim, `${verdict}: ${detail}`]),
)}`;
  return { title: "Out-of-distribution detectors under attack", html };
}
