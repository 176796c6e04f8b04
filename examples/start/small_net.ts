// A network small enough to be drawn, under watch: who pays whom, and how far rules are from backpropagation.
import { type Gpu, mul } from "handgrad";
import type { Dataset } from "handgrad/data";
import { activation, buildModel, dense } from "handgrad/layers";
import { ruleNamed, trainClassifier, type TrainResult } from "handgrad/neurons";
import { startProgress } from "./progress.js";

const HIDDEN = 12;
const TRAIN = 1500;
const EPOCHS = 4;
const BATCH = 50;
const RATE = 0.05;
/** Outgoing weights start as a tenth of the usual, so that nearly all attention is earned. */
const START = 0.1;
/** Digits on which it is watched. */
const WATCH = 200;
/** The first is drawn. Short names for the legend. */
const RULES = {
  attention: "attention",
  ln: "ln of attention",
  "power-1": "Σ|w| as attention",
  "feedback-alignment": "feedback alignment",
} as const;

export interface SmallRun {
  readonly rule: string;
  readonly title: string;
  readonly result: TrainResult;
}

export interface SmallNet {
  readonly runs: readonly SmallRun[];
  /** [784, 12] and [12, 10] after training by the first rule. */
  readonly incoming: Float32Array;
  readonly outgoing: Float32Array;
  /** Training digits. */
  readonly trainCount: number;
  readonly hidden: number;
}

/** Trains the same small network by a few rules under watch. */
export async function runSmallNet(gpu: Gpu, train: Dataset, test: Dataset, seed: number): Promise<SmallNet> {
  const digits = train.split([Math.min(TRAIN, train.count)], { seed, stratified: true })[0];
  const runs: SmallRun[] = [];
  let weights: Float32Array[] = [];
  const progress = startProgress("a small network under watch");
  try {
    for (const [index, [rule, title]] of Object.entries(RULES).entries()) {
      const model = buildModel(
        gpu,
        [dense(digits.imageSize, HIDDEN), activation("relu"), dense(HIDDEN, digits.classNames.length)],
        { seed },
      );
      const outgoing = model.parameters["2.weight"];
      mul(outgoing, START, { out: outgoing });
      const result = await trainClassifier(model, digits, test, {
        rule: ruleNamed(rule),
        epochs: EPOCHS,
        batchSize: BATCH,
        learningRate: RATE,
        seed,
        watch: WATCH,
        evaluate: "end",
        onProgress: (share) => progress.update((index + share) / Object.keys(RULES).length, title),
      });
      if (index === 0) {
        const [first, second] = ["0.weight", "2.weight"].map((name) => model.parameters[name].data());
        weights = [(await first) as Float32Array, (await second) as Float32Array];
      }
      model.dispose();
      runs.push({ rule, title, result });
    }
  } finally {
    progress.stop();
  }
  const [incoming, outgoing] = weights;
  return { runs, incoming, outgoing, trainCount: digits.count, hidden: HIDDEN };
}
