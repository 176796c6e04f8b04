/** The bench's results as a table, as JSON and as a chart. */
import type { GpuInfo } from "handgrad";
import type { Case } from "./cases.js";
import type { CaseVariant, Measured, Timing } from "./measure.js";
import type { Roof } from "./roof.js";

export interface CaseResult {
  readonly name: string;
  readonly group: string;
  readonly shape: string;
  readonly ours: {
    ms: number | null;
    gflops?: number;
    gbs?: number;
    roofShare?: number;
    /** The roof that the share is of, where it was measured between the case's rounds. */
    roofGflops?: number;
    spread?: number;
    firstMs?: number;
    problem?: string;
  };
  readonly peers: Readonly<Record<string, { ms: number | null; spread?: number; problem?: string }>>;
  /** The kernel that each op ran with. */
  readonly variants: readonly CaseVariant[];
}

/** How a run was made. */
export interface RunConditions {
  /** What the milliseconds are of: "wall", or "cpu" for processor time. */
  readonly clock: string;
  /** Choices that the tuner had for this adapter. */
  readonly remembered: number;
}

export interface BenchResult {
  readonly adapter: Readonly<Record<string, string>>;
  readonly date: string;
  readonly clock: string;
  readonly tuning: { readonly remembered: number };
  readonly roof: Roof;
  readonly cases: readonly CaseResult[];
  readonly geometricMean: Readonly<Record<string, number>>;
}

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);

export function caseResult(which: Case, { timings, variants, roofGflops }: Measured, roof: Roof): CaseResult {
  const own: Timing = timings.handgrad;
  const gflops = which.flops === undefined ? undefined : which.flops / own.ms / 1e6;
  const gbs = which.bytes === undefined ? undefined : which.bytes / own.ms / 1e6;
  const share =
    gflops !== undefined ? gflops / (roofGflops ?? roof.gflops) : (gbs ?? Number.NaN) / roof.copyGBs;
  const peers: Record<string, { ms: number | null; spread?: number; problem?: string }> = {};
  for (const [name, { ms, spread, problem }] of Object.entries(timings)) {
    if (name !== "handgrad") peers[name] = problem ? { ms: null, problem } : { ms, spread };
  }
  const ours = own.problem
    ? { ms: null, problem: own.problem }
    : {
        ms: finite(own.ms),
        gflops,
        gbs,
        roofShare: share,
        roofGflops,
        spread: own.spread,
        firstMs: own.firstMs,
      };
  return { name: which.name, group: which.group, shape: which.shape, ours, peers, variants };
}

/** The fastest peer of a case. */
export function bestPeer({ peers }: CaseResult): { name: string; ms: number } | undefined {
  let best: { name: string; ms: number } | undefined;
  for (const [name, { ms }] of Object.entries(peers))
    if (ms !== null && (!best || ms < best.ms)) best = { name, ms };
  return best;
}

/** Geometric means of best peer's time over ours: over matmul and conv together, and a group. */
export function geometricMeans(cases: readonly CaseResult[]): Record<string, number> {
  const groups: Record<string, readonly string[]> = {
    "matmul and conv": ["matmul", "conv"],
    matmul: ["matmul"],
    conv: ["conv"],
    other: ["other"],
    jobs: ["job"],
  };
  const result: Record<string, number> = {};
  for (const [name, members] of Object.entries(groups)) {
    const logs: number[] = [];
    for (const entry of cases) {
      const best = bestPeer(entry);
      if (members.includes(entry.group) && best && entry.ours.ms !== null)
        logs.push(Math.log(best.ms / entry.ours.ms));
    }
    if (logs.length > 0) result[name] = Math.exp(logs.reduce((sum, v) => sum + v, 0) / logs.length);
  }
  return result;
}

export function benchResult(
  info: GpuInfo,
  roof: Roof,
  cases: readonly CaseResult[],
  { clock, remembered }: RunConditions,
): BenchResult {
  const { vendor, architecture, device, description, kind, driver } = info;
  return {
    adapter: { vendor, architecture, device, description, kind, driver },
    date: new Date().toISOString(),
    clock,
    tuning: { remembered },
    roof,
    cases,
    geometricMean: geometricMeans(cases),
  };
}

const number = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
const NAME_WIDTH = 42;

const widthOf = (column: string): number => Math.max(10, column.length + 2);

/** The table's columns after the case's name. */
export function columns(peers: readonly string[]): string[] {
  return ["ms", "±%", "rate", "of roof", ...peers.flatMap((peer) => [`${peer} ms`, "ratio"])];
}

/** A case's cells under those columns; undefined if it failed. */
export function cells({ ours, peers: others }: CaseResult, peers: readonly string[]): string[] | undefined {
  const { ms } = ours;
  if (ms === null) return undefined;
  const rate = ours.gflops !== undefined ? `${number(ours.gflops)} GF/s` : `${number(ours.gbs ?? 0)} GB/s`;
  const own = [
    number(ms),
    (100 * (ours.spread ?? 0)).toFixed(0),
    rate,
    `${(100 * (ours.roofShare ?? 0)).toFixed(0)} %`,
  ];
  const beside = peers.flatMap((name) => {
    const peer = others[name];
    const time = !peer ? "–" : peer.ms === null ? "fails" : number(peer.ms);
    return [time, peer?.ms ? `${(peer.ms / ms).toFixed(2)}×` : ""];
  });
  return [...own, ...beside];
}

export function header(peers: readonly string[]): string {
  const names = columns(peers).map((column) => column.padStart(widthOf(column)));
  return "case".padEnd(NAME_WIDTH) + names.join("");
}

export function row(result: CaseResult, peers: readonly string[]): string {
  const texts = cells(result, peers);
  if (!texts) return `${result.name.padEnd(NAME_WIDTH)} FAILED: ${result.ours.problem}`;
  const names = columns(peers);
  return result.name.padEnd(NAME_WIDTH) + texts.map((text, i) => text.padStart(widthOf(names[i]))).join("");
}

/** What got slower or faster than before by more than a tenth, both runs' roofs told. */
export function comparison(before: BenchResult, after: BenchResult): string[] {
  const lines = [`roof ${number(before.roof.gflops)} → ${number(after.roof.gflops)} GFLOP/s`];
  for (const entry of after.cases) {
    const old = before.cases.find(({ name }) => name === entry.name)?.ours.ms;
    const now = entry.ours.ms;
    if (!old || !now) continue;
    const ratio = now / old;
    if (ratio > 1.1 || ratio < 0.9) {
      lines.push(
        `${ratio > 1 ? "slower" : "faster"}  ${entry.name}: ${number(old)} → ${number(now)} ms (${ratio.toFixed(2)}×)`,
      );
    }
  }
  return lines;
}

const COLORS = ["#2563eb", "#d97706", "#059669", "#7c3aed"];
const escapeHtml = (text: string): string => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** Bars of speed relative to the best peer, one row a case. */
export function chart(result: BenchResult, peers: readonly string[]): string {
  const contenders = ["handgrad", ...peers];
  const rowHeight = 12 * contenders.length + 14;
  const [left, width] = [330, 560];
  const rows = result.cases.map((entry, index) => {
    const times = contenders.map((name) =>
      name === "handgrad" ? entry.ours.ms : (entry.peers[name]?.ms ?? null),
    );
    const slowest = Math.max(...times.map((ms) => ms ?? 0));
    const fastest = Math.min(...times.map((ms) => ms ?? slowest));
    const top = 30 + index * rowHeight;
    const bars = times.map((ms, i) => {
      if (ms === null) return "";
      const length = (width * fastest) / ms;
      const y = top + 12 * i;
      return (
        `<rect x="${left}" y="${y}" width="${length.toFixed(1)}" height="10" fill="${COLORS[i % COLORS.length]}"/>` +
        `<text x="${left + length + 5}" y="${y + 9}" class="t">${number(ms)} ms</text>`
      );
    });
    return `<text x="${left - 8}" y="${top + 6 * contenders.length + 3}" text-anchor="end">${escapeHtml(entry.name)}</text>${bars.join("")}`;
  });
  const legend = contenders
    .map(
      (name, i) =>
        `<rect x="${left + 150 * i}" y="6" width="12" height="12" fill="${COLORS[i % COLORS.length]}"/><text x="${left + 150 * i + 18}" y="16">${escapeHtml(name)}</text>`,
    )
    .join("");
  const adapter = escapeHtml(Object.values(result.adapter).filter(Boolean).join(", "));
  const means = Object.entries(result.geometricMean).map(
    ([name, mean]) => `${escapeHtml(name)} ${mean.toFixed(2)}×`,
  );
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>handgrad bench</title>
<style>body{font:14px system-ui,sans-serif;margin:24px;max-width:1000px}svg text{font:12px system-ui,sans-serif}.t{fill:#555}</style>
<h1>handgrad bench</h1>
<p>${adapter}<br>roof ${number(result.roof.gflops)} GFLOP/s, ${number(result.roof.copyGBs)} GB/s; ${escapeHtml(result.date)}</p>
<p>Bars: speed, the fastest of a row filling it. Best peer's time over ours, geometric mean: ${means.join(", ") || "no peers"}.</p>
<svg viewBox="0 0 1000 ${40 + rows.length * rowHeight}" width="1000">${legend}${rows.join("")}</svg>
</html>
`;
}
