// Detectors attacked while you wait: pictures of the first images of both kinds, and the table of settings.
import { type Gpu, type Tensor, tensor } from "handgrad";
import { attack, pgd, scoreLoss } from "handgrad/attacks";
import type { Detector, Setting } from "handgrad/atd";
import type { Dataset } from "handgrad/data";
import { auroc } from "handgrad/metrics";
import { escapeHtml, figure, htmlTable, imageTag, type Section } from "../report/page.js";
import { floatsOf } from "./detectors.js";
import { type AttackedImage, stripPng } from "./strip.js";

export interface LiveOptions {
  readonly epsilon: number;
  readonly steps: number;
  readonly seed: number;
  /** Images of each kind in the pictures. */
  readonly shown: number;
  readonly onProgress?: (share: number) => void;
}

export interface ShownImage extends AttackedImage {
  readonly kind: "in" | "out";
  readonly before: number;
  readonly after: number;
}

/** What an attack left of one detector. */
export interface LiveResult {
  readonly title: string;
  readonly shown: readonly ShownImage[];
  /** The score from which on an image is taken for in: 95 % of the clean images that are in have it. */
  readonly threshold: number;
  readonly auroc: Readonly<Record<Setting, number>>;
  readonly seconds: number;
}

/** Lowers the scores of all that is in and raises those of all that is out, in one run. */
export async function attackLive(
  gpu: Gpu,
  title: string,
  detector: Detector,
  inside: Dataset,
  outside: Dataset,
  { epsilon, steps, seed, shown, onProgress }: LiveOptions,
): Promise<LiveResult> {
  const start = performance.now();
  const labels = Uint32Array.from({ length: inside.count + outside.count }, (_, i) =>
    i < inside.count ? 1 : 0,
  );
  const x = bothOf(gpu, inside, outside);
  try {
    const how = pgd({ epsilon, steps, seed, loss: scoreLoss() });
    const result = await attack(detector, x, how, {
      labels,
      batch: 250,
      onProgress: ({ done, samples }) => onProgress?.(done / samples),
    });
    const delta = await result.delta.data();
    result.dispose();
    const scoresOf = (losses: Float32Array): number[] =>
      Array.from(losses, (loss, i) => (labels[i] === 1 ? -loss : loss));
    const [clean, attacked] = [scoresOf(result.cleanLoss), scoresOf(result.loss)];
    const size = inside.imageSize;
    const pixels = await x.data();
    const imageAt = (i: number): ShownImage => ({
      kind: labels[i] === 1 ? "in" : "out",
      clean: pixels.subarray(i * size, (i + 1) * size),
      delta: delta.subarray(i * size, (i + 1) * size),
      before: clean[i],
      after: attacked[i],
    });
    const first = (from: number): number[] => Array.from({ length: shown }, (_, i) => from + i);
    const cleanInside = clean.slice(0, inside.count).sort((a, b) => a - b);
    const area = (attackIn: boolean, attackOut: boolean): number =>
      auroc(
        clean.map((score, i) => ((labels[i] === 1 ? attackIn : attackOut) ? attacked[i] : score)),
        labels,
      );
    return {
      title,
      shown: [...first(0), ...first(inside.count)].map(imageAt),
      threshold: cleanInside[Math.floor(0.05 * cleanInside.length)],
      auroc: {
        clean: area(false, false),
        in: area(true, false),
        out: area(false, true),
        both: area(true, true),
      },
      seconds: (performance.now() - start) / 1000,
    };
  } finally {
    x.dispose();
  }
}

/** The images of one set behind those of the other. */
function bothOf(gpu: Gpu, inside: Dataset, outside: Dataset): Tensor {
  const all = [...floatsOf(inside.images), ...floatsOf(outside.images)];
  return tensor(gpu, Float32Array.from(all), [inside.count + outside.count, ...inside.shape]);
}

const SIDE = 28;
/** Of a strip on the page, in pixels. */
const WIDTH = 880;

const centered = (tag: "td" | "th", text: string, color = "ink"): string =>
  `<${tag} style="text-align:center;padding:0;color:var(--${color})">${text}</${tag}>`;

export interface LiveSection {
  readonly title: string;
  /** HTML in front of the pictures. */
  readonly lead: string;
  readonly note: string;
}

export const LIVE_HEAD = ["detector", "clean", "in", "out", "both"] as const;

export function liveRows(results: readonly LiveResult[]): string[][] {
  return results.map(({ title, auroc: areas }) => [
    title,
    ...(["clean", "in", "out", "both"] as const).map((setting) => areas[setting].toFixed(3)),
  ]);
}

/** Table, then a strip a detector. */
export async function liveSection(
  results: readonly LiveResult[],
  { title, lead, note }: LiveSection,
): Promise<Section> {
  const strips: string[] = [];
  for (const result of results) {
    const { shown, threshold } = result;
    const said = (score: number): string => (score >= threshold ? "in" : "out");
    const cell = (score: number, right: boolean): string =>
      centered("td", `${score.toFixed(1)} ${said(score)}`, right ? "good" : "bad");
    const row = (pick: (image: ShownImage) => number): string =>
      `<tr>${shown.map((image) => cell(pick(image), said(pick(image)) === image.kind)).join("")}</tr>`;
    const png = await stripPng(shown, SIDE);
    strips.push(
      `<h3>${escapeHtml(result.title)}</h3>` +
        figure(
          `${imageTag(png, `images attacked against ${result.title}`, WIDTH)}
<table style="table-layout:fixed;width:${WIDTH}px;max-width:100%"><thead><tr>${shown.map(({ kind }) => `${centered("th", kind)}`).join("")}</tr></thead>
<tbody>${row(({ before }) => before)}${row(({ after }) => after)}</tbody></table>`,
          `From the top: image, what the attack added (ten times over; blue brighter, red darker), the result. Below: what ` +
            `the image is, the score before and after, and what it says. From ${threshold.toFixed(1)} on an image is taken for in, as ` +
            `95 % of the clean ones are that are in.`,
        ),
    );
  }
  const html = `${lead}
${htmlTable([...LIVE_HEAD], liveRows(results))}
<p><small>${escapeHtml(note)}</small></p>
${strips.join("\n")}`;
  return { title, html };
}

/** What a report's JSON holds of it. */
export function liveJson(results: readonly LiveResult[]): unknown {
  return results.map(({ title, auroc: areas, threshold, shown, seconds }) => ({
    detector: title,
    auroc: areas,
    threshold,
    images: shown.map(({ kind, before, after }) => ({ kind, before, after })),
    seconds,
  }));
}
