// The first method on real digits: attention-seeking neurons and backpropagation from the same start.
import { type Gpu, tensor } from "handgrad";
import { type Dataset, DeviceSet, loadMnist } from "handgrad/data";
import { activation, buildModel, dense, type Sequential } from "handgrad/layers";
import {
  type Closeness,
  type AccuracyPoint,
  type LossPoint,
  ruleNamed,
  trainClassifier,
  verifyLocalSignal,
} from "handgrad/neurons";
import { brokenRows, type DepartureRow } from "../neurons/departures.js";
import { startProgress } from "./progress.js";
import { runSmallNet, type SmallNet } from "./small_net.js";

const TRAIN = 8000;
const TEST = 2000;
/** Digits on which the local signal is measured. */
const VERIFY = 128;
const HIDDEN = 128;

export interface RuleRun {
  readonly rule: string;
  readonly title: string;
  readonly testAccuracy: number;
  readonly seconds: number;
  readonly curve: readonly AccuracyPoint[];
  readonly losses: readonly LossPoint[];
  readonly predictions: Uint32Array;
  /** [784, 128]: what each neuron of the first layer looks for. */
  readonly firstWeights: Float32Array;
}

export interface LayerRow extends Closeness {
  readonly title: string;
}

export interface NeuronsResult {
  readonly rules: readonly RuleRun[];
  /** Worst of the start and the end of training. */
  readonly layers: readonly LayerRow[];
  readonly test: Dataset;
  readonly departures: readonly DepartureRow[];
  readonly small: SmallNet;
  /** What report.json holds under "neurons". */
  readonly json: unknown;
}

export async function runNeurons(
  gpu: Gpu,
  { seed, epochs, rule }: { seed: number; epochs: number; rule: string },
): Promise<NeuronsResult> {
  const chosen = ruleNamed(rule);
  const [train, test] = (await loadMnist()).split([TRAIN, TEST], { seed, stratified: true });
  const checks: Closeness[][] = [];
  const rules: RuleRun[] = [];
  const compared = chosen.name === "backpropagation" ? [chosen] : [chosen, ruleNamed("backpropagation")];
  for (const current of compared) {
    const model = digitNetwork(gpu, train, seed);
    const watched = current === chosen;
    if (watched) checks.push(await verify(gpu, model, train));
    const progress = startProgress(current.title);
    const onProgress = (share: number, loss: number): void =>
      progress.update(share, `loss ${loss.toFixed(3)}`);
    const result = await trainClassifier(model, train, test, {
      rule: current,
      epochs,
      seed,
      onProgress,
    }).finally(progress.stop);
    if (watched) checks.push(await verify(gpu, model, train));
    const firstWeights = (await model.parameters["0.weight"].data()) as Float32Array;
    rules.push({ rule: current.name, title: current.title, firstWeights, ...result });
    model.dispose();
  }
  const layers = worst(checks);
  const progress = startProgress("each condition broken");
  const departures = await brokenRows(gpu).finally(progress.stop);
  const small = await runSmallNet(gpu, train, test, seed);
  const json = {
    network: `${train.imageSize}-${HIDDEN}-${HIDDEN}-${train.classNames.length}`,
    trainImages: train.count,
    testImages: test.count,
    epochs,
    rules: rules.map(({ rule, testAccuracy, seconds, curve, losses }) => ({
      rule,
      testAccuracy,
      seconds,
      curve,
      losses,
    })),
    layers: layers.map(({ layer, relativeError, cosine }) => ({ layer, relativeError, cosine })),
    departures,
    smallNetwork: smallJson(small),
  };
  return { rules, layers, test, departures, small, json };
}

function smallJson({ runs, trainCount, hidden }: SmallNet) {
  return {
    hidden,
    trainImages: trainCount,
    rules: runs.map(({ rule, result: { testAccuracy, observations, ledger } }) => ({
      rule,
      testAccuracy,
      layers: observations.map(({ epoch, layers }) => ({
        epoch,
        cosines: layers.map(({ cosine }) => cosine),
        gini: layers[1].gini,
        silent: layers[1].silent,
        attention: Array.from(layers[1].attention),
      })),
      paid: Array.from(ledger[1].paid),
    })),
  };
}

function digitNetwork(gpu: Gpu, { imageSize, classNames }: Dataset, seed: number): Sequential {
  const layers = [
    dense(imageSize, HIDDEN),
    activation("relu"),
    dense(HIDDEN, HIDDEN),
    activation("relu"),
    dense(HIDDEN, classNames.length),
  ];
  return buildModel(gpu, layers, { seed });
}

async function verify(gpu: Gpu, model: Sequential, train: Dataset): Promise<Closeness[]> {
  const first = Uint32Array.from({ length: VERIFY }, (_, index) => index);
  const set = new DeviceSet(gpu, train.subset(first), { flat: true });
  const indices = tensor(gpu, first);
  const batch = set.batch(indices);
  try {
    return await verifyLocalSignal(model, batch);
  } finally {
    for (const part of [indices, batch.x, batch.labels, set]) part.dispose();
  }
}

/** The largest error and the smallest cosine of each layer over all checks. */
function worst(checks: readonly (readonly Closeness[])[]): LayerRow[] {
  return checks[0].map(({ layer }, index) => {
    const rows = checks.map((check) => check[index]);
    return {
      layer,
      title: `layer ${index + 1} (${layer})`,
      relativeError: Math.max(...rows.map((row) => row.relativeError)),
      cosine: Math.min(...rows.map((row) => row.cosine)),
    };
  });
}
