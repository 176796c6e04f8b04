// The attention flow of a network as SVG: who holds attention, and who paid for it.
import type { LayerObservation, LedgerPage } from "handgrad/neurons";
import { escapeHtml } from "../report/page.js";

export interface FlowMap {
  /** From the first layer whose senders are neurons, up. */
  readonly ledger: readonly LedgerPage[];
  /** The same layers' attention. */
  readonly layers: readonly LayerObservation[];
  /** Names of the output neurons. */
  readonly outputs: readonly string[];
}

/** More circles than this in a column hide each other. */
const SHOWN = 14;
/** Lines a layer, the thickest. */
const LINES = 60;
const COLUMN = 260;
const ROW = 30;
const MARGIN = 60;
const LARGEST_CIRCLE = 12;
const THICKEST = 7;

interface Dot {
  readonly index: number;
  readonly x: number;
  readonly y: number;
  readonly radius: number;
  readonly title: string;
}

/** Columns of neurons, from the input side to the outputs, with what each paid to those it reads. */
export function flowMap({ ledger, layers, outputs }: FlowMap): string {
  const columns = layers.map(({ attention, layer }, column) => {
    const most = Math.max(...attention, 1e-30);
    const best = Array.from(attention.keys())
      .sort((a, b) => attention[b] - attention[a])
      .slice(0, SHOWN);
    return place(
      best.map((index) => ({
        index,
        radius: LARGEST_CIRCLE * Math.sqrt(attention[index] / most),
        title: `neuron ${index}, attention in layer ${layer}: ${attention[index].toPrecision(3)}`,
      })),
      column,
    );
  });
  columns.push(
    place(
      outputs.map((name, index) => ({ index, radius: LARGEST_CIRCLE / 2, title: `output ${name}` })),
      columns.length,
    ),
  );
  const lines = ledger.map((page, column) => linesOf(page, columns[column], columns[column + 1]));
  const circles = columns
    .flat()
    .map(
      ({ x, y, radius, title }) =>
        `<circle cx="${x}" cy="${y}" r="${radius.toFixed(1)}" fill="var(--ink)"><title>${escapeHtml(title)}</title></circle>`,
    );
  const labels = columns[columns.length - 1].map(
    ({ x, y, index }) => `<text x="${x + 14}" y="${y + 4}">${escapeHtml(outputs[index])}</text>`,
  );
  const heads = layers.map(
    ({ layer, attention, gini }, column) =>
      `<text x="${MARGIN + column * COLUMN}" y="16" text-anchor="middle">${Math.min(SHOWN, attention.length)} of ` +
      `${attention.length} neurons, Gini ${gini.toFixed(2)} (layer ${escapeHtml(layer)})</text>`,
  );
  const rows = Math.max(...columns.map((column) => column.length));
  const width = 2 * MARGIN + (columns.length - 1) * COLUMN + 60;
  const height = 40 + rows * ROW;
  return (
    `<svg viewBox="-60 0 ${width + 60} ${height}" role="img" aria-label="attention flow">` +
    `${[...lines, ...circles, ...labels, ...heads].join("")}</svg>`
  );
}

function place(dots: readonly Pick<Dot, "index" | "radius" | "title">[], column: number): Dot[] {
  const top = 40 + ((SHOWN - Math.min(SHOWN, dots.length)) * ROW) / 2;
  return dots.map((dot, rank) => ({ ...dot, x: MARGIN + column * COLUMN, y: top + rank * ROW }));
}

function linesOf({ paid, receivers }: LedgerPage, senders: readonly Dot[], readers: readonly Dot[]): string {
  const pairs = senders.flatMap((sender) =>
    readers.map((reader) => ({ sender, reader, value: paid[sender.index * receivers + reader.index] })),
  );
  pairs.sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const most = Math.abs(pairs[0]?.value ?? 0) || 1;
  return pairs
    .slice(0, LINES)
    .reverse()
    .map(({ sender, reader, value }) => {
      const share = Math.abs(value) / most;
      const middle = (sender.x + reader.x) / 2;
      const path = `M${sender.x} ${sender.y}C${middle} ${sender.y} ${middle} ${reader.y} ${reader.x} ${reader.y}`;
      const color = value >= 0 ? "var(--first)" : "var(--bad)";
      return (
        `<path d="${path}" fill="none" stroke="${color}" stroke-width="${(THICKEST * share).toFixed(2)}" ` +
        `stroke-opacity="${(0.25 + 0.6 * share).toFixed(2)}"/>`
      );
    })
    .join("");
}
