// `npm run spade -- visualize`: what excites a trojaned class, in the network and in traces; sheets and figures.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Gpu } from "handgrad";
import { pictureSheet, plainImage } from "handgrad/explain";
import { encodePng } from "handgrad/io";
import { meanInterval } from "handgrad/metrics";
import { startProgress } from "../start/progress.js";
import { type Look, type Visualization, visualizeCauses } from "./causes.js";
import { loadNet } from "./nets.js";
import { COPIES } from "./plan.js";
import { heldOut } from "./samples.js";
import { TRIGGERS } from "./trojan.js";
import { readTuned } from "./tuned.js";
import { writeWhole } from "../experiment/write_whole.js";

export interface VisualizeCommand {
  readonly nets: readonly string[];
  readonly weights: string;
  readonly tuned: string;
  /** Pictures of each kind, trigger and network. */
  readonly each: number;
  readonly steps: number;
  readonly seed: number;
  readonly out: string;
}

/** A kind of network, over all triggers and networks. */
export interface CauseRow {
  readonly look: Look;
  /** Largest correlation of a window with the trigger's pattern, its mean and 95 % interval. */
  readonly pattern: readonly [mean: number, low: number, high: number];
  /** Cosine to the features of triggered scenes less that to clean ones of the class. */
  readonly towardTrigger: readonly [mean: number, low: number, high: number];
  readonly n: number;
}

/** Scenes from which samples of every trigger and class are taken. */
const SCENES = 150;
const ZOOM = 3;

export async function runVisualize(gpu: Gpu, command: VisualizeCommand): Promise<CauseRow[]> {
  const { nets, each, steps, seed, out } = command;
  const all: Visualization[] = [];
  for (const name of nets) {
    const { model } = await loadNet(gpu, name, command.weights);
    const { one: ratios } = await readTuned(name, command.tuned);
    const progress = startProgress(`visualize ${name}`);
    try {
      const samples = await heldOut(gpu, model, { of: "evaluation", count: SCENES });
      const found = await visualizeCauses(gpu, model, samples, {
        ratios,
        copies: COPIES,
        each,
        steps,
        seed,
        onProgress: (done, of) => progress.update(done / of, `${done} of ${of}`),
      });
      await writeFile(join(out, `causes-${name}.png`), await encodePng(sheetOf(found)));
      all.push(...found);
    } finally {
      progress.stop();
      model.dispose();
    }
  }
  const rows = LOOKS.map((look) =>
    rowOf(
      look,
      all.filter((picture) => picture.look === look),
      seed,
    ),
  );
  const pictures = all.map(({ pixels, ...rest }) => rest);
  await writeWhole(join(out, "causes.json"), `${JSON.stringify({ ...command, rows, pictures })}\n`);
  return rows;
}

const LOOKS: readonly Look[] = ["dense", "trace of a triggered sample", "trace of a clean sample"];

function rowOf(look: Look, pictures: readonly Visualization[], seed: number): CauseRow {
  const estimate = (of: "patternCorrelation" | "towardTrigger"): [number, number, number] => {
    const { mean, low, high } = meanInterval(
      pictures.map((picture) => picture[of]),
      { seed },
    );
    return [mean, low, high];
  };
  return {
    look,
    pattern: estimate("patternCorrelation"),
    towardTrigger: estimate("towardTrigger"),
    n: pictures.length,
  };
}

/** A row a trigger: its pattern, then the pictures by kind of network. */
function sheetOf(pictures: readonly Visualization[]) {
  const side = Math.sqrt(pictures[0].pixels.length);
  return pictureSheet(
    TRIGGERS.map(({ name, pattern }, trigger) => {
      const own = LOOKS.flatMap((look) =>
        pictures.filter((picture) => picture.trigger === trigger && picture.look === look),
      );
      const dots = { shape: [5, 5], data: Float32Array.from(pattern.join(""), Number) };
      return {
        label: name,
        pictures: [
          plainImage(dots, { zoom: 2 * ZOOM }),
          ...own.map(({ pixels }) =>
            plainImage({ shape: [side, side], data: Float32Array.from(pixels) }, { zoom: ZOOM }),
          ),
        ],
        captions: ["", ...own.map(({ towardTrigger }) => towardTrigger.toFixed(2))],
      };
    }),
    {
      columns: [
        "trigger",
        ...LOOKS.flatMap((look) => {
          const count = pictures.filter((picture) => picture.trigger === 0 && picture.look === look).length;
          return Array.from({ length: count }, () => SHORT[look]);
        }),
      ],
    },
  );
}

const SHORT: Readonly<Record<Look, string>> = {
  dense: "dense",
  "trace of a triggered sample": "triggered",
  "trace of a clean sample": "clean",
};
