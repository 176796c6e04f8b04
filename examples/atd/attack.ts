// `npm run atd -- attack`: pictures of what an attack does to a detector.
import type { Gpu } from "handgrad";
import type { Section } from "../report/page.js";
import { startProgress } from "../start/progress.js";
import { printTable } from "../start/table.js";
import { loadAtdData, type TestOut } from "./data.js";
import { openScore } from "./detectors.js";
import { attackLive, LIVE_HEAD, liveJson, liveRows, type LiveResult, liveSection } from "./live.js";
import type { BackboneName } from "./recipes.js";

export interface AttackCommand {
  readonly set: TestOut;
  /** In pixel units. */
  readonly epsilon: number;
  readonly steps: number;
  readonly images: number;
  readonly seed: number;
  readonly weights: string;
}

/** The method and what most people use, both on networks that ship. */
const SHOWN: readonly { name: "msp" | "atd"; backbone: BackboneName; title: string }[] = [
  { name: "msp", backbone: "standard", title: "MSP, standard classifier" },
  { name: "atd", backbone: "robust", title: "ATD" },
];
const PICTURES = 4;

export async function runAttack(
  gpu: Gpu,
  { set, epsilon, steps, images, seed, weights }: AttackCommand,
): Promise<{ results: LiveResult[]; json: unknown; section: Section }> {
  const data = await loadAtdData({ seed, test: images });
  const place = { gpu, seed, folder: weights };
  const results: LiveResult[] = [];
  for (const { name, backbone, title } of SHOWN) {
    const open = await openScore(place, name, backbone, data);
    const progress = startProgress(`attack on ${title}`);
    try {
      const onProgress = (share: number): void => progress.update(share, "");
      const options = { epsilon, steps, seed, shown: PICTURES, onProgress };
      results.push(await attackLive(gpu, title, open.detector, data.testIn, data.testOut[set], options));
    } finally {
      progress.stop();
      open.dispose();
    }
  }
  console.log();
  printTable(LIVE_HEAD, liveRows(results));
  const levels = Math.round(255 * epsilon);
  const section = await liveSection(results, {
    title: "Detectors under attack",
    lead: `<p>A detector says whether an image is of the kind that a network was trained on: here clothes of eight kinds are
<em>in</em>, ${WHAT[set]} are <em>out</em>. Someone who may change every pixel by ${levels}/255 pushes the score of what is in
down and of what is out up, end to end through the network (PGD-${steps}). AUROC of telling the two apart, ${images} + ${images}
images: 1 is perfect, 0.5 is guessing, 0 is always wrong. ATD is a discriminator that was trained under this attack, on features
of a classifier that was, too.</p>`,
    note: `in, out, both: which images are attacked.`,
  });
  return { results, json: { set, epsilon, steps, images, seed, detectors: liveJson(results) }, section };
}

const WHAT: Readonly<Record<TestOut, string>> = {
  easy: "handwritten digits",
  hard: "bags and ankle boots, which no network has seen,",
  noise: "noise and textures",
};
