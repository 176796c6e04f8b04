// Accuracies as a section of a page: a picture a data set and network, and the table.
import { dotPlot } from "../report/dot_plot.js";
import { figure, htmlTable, type Section } from "../report/page.js";
import { ACCURACY_HEAD, type AccuracyRow, BASELINE, cellsOfRow } from "./accuracy_rows.js";

/** @param rows sorted by data set and network, the best first */
export function accuracySection(rows: readonly AccuracyRow[]): Section {
  const groups = new Map<string, AccuracyRow[]>();
  for (const row of rows) {
    const name = `${row.dataset}, ${row.net}`;
    groups.set(name, [...(groups.get(name) ?? []), row]);
  }
  const plots = [...groups].map(([name, own]) => {
    const dots = own.map(({ rule, mean, sd }) => ({
      title: rule,
      value: mean,
      spread: sd,
      marked: rule === BASELINE,
    }));
    const guide = own.find(({ rule }) => rule === BASELINE)?.mean;
    const format = (share: number): string => `${Math.round(100 * share)} %`;
    return figure(
      dotPlot(name, dots, { guide, format }),
      "Test accuracy, mean and standard deviation over seeds; the dashed line is backpropagation.",
    );
  });
  const html = `<p>Every rule got its learning rate in the same way, on validation data; runs of one seed share their data,
their initial weights and the order of their batches, so differences are of pairs.</p>
<div class="pair">${plots.join("\n")}</div>
${htmlTable(ACCURACY_HEAD, rows.map(cellsOfRow))}`;
  return { title: "Accuracy, rule by rule", html };
}
