// The AUROC over several seeds, with an interval for new seeds and new images.
import { philoxBits } from "handgrad";
import { auroc } from "handgrad/metrics";

/** The scores of one seed. */
export interface Pair {
  readonly inside: readonly number[];
  readonly outside: readonly number[];
}

export interface SeedsAuroc {
  /** The mean over seeds. */
  readonly auroc: number;
  /** 95 %, by resampling seeds, and images within them. */
  readonly ci: readonly [low: number, high: number];
  readonly perSeed: readonly number[];
}

const RESAMPLES = 500;

/** AUROC of weighted scores in one walk: an entry a distinct score, ascending. */
interface Walk {
  readonly order: Uint32Array;
  readonly scores: Float64Array;
  readonly insideCount: number;
}

function walkOf({ inside, outside }: Pair): Walk {
  const scores = Float64Array.from([...inside, ...outside]);
  const order = Uint32Array.from(scores.keys()).sort((a, b) => scores[a] - scores[b]);
  return { order, scores, insideCount: inside.length };
}

/** AUROC where image i counts `weights[i]` times; equal scores count half. */
function weightedAuroc({ order, scores, insideCount }: Walk, weights: Uint16Array): number {
  let [wins, outsideBelow, insideTotal] = [0, 0, 0];
  for (let i = 0; i < order.length; ) {
    let [insideHere, outsideHere] = [0, 0];
    const score = scores[order[i]];
    for (; i < order.length && scores[order[i]] === score; i++) {
      if (order[i] < insideCount) insideHere += weights[order[i]];
      else outsideHere += weights[order[i]];
    }
    wins += insideHere * (outsideBelow + outsideHere / 2);
    outsideBelow += outsideHere;
    insideTotal += insideHere;
  }
  return wins / (insideTotal * outsideBelow);
}

/** @param pairs one a seed */
export function aurocOverSeeds(pairs: readonly Pair[], seed: number): SeedsAuroc {
  const perSeed = pairs.map(({ inside, outside }) =>
    auroc([...inside, ...outside], [...inside.map(() => 1), ...outside.map(() => 0)]),
  );
  const walks = pairs.map(walkOf);
  const longest = Math.max(...walks.map(({ order }) => order.length));
  const means = Float64Array.from({ length: RESAMPLES }, (_, resample) => {
    const bits = philoxBits(pairs.length * (longest + 1), seed, resample);
    let sum = 0;
    for (let draw = 0; draw < pairs.length; draw++) {
      const words = bits.subarray(draw * (longest + 1), (draw + 1) * (longest + 1));
      const walk = walks[Math.floor((words[longest] * pairs.length) / 2 ** 32)];
      sum += weightedAuroc(walk, resampled(walk, words));
    }
    return sum / pairs.length;
  }).sort();
  const at = (share: number): number => means[Math.round(share * (RESAMPLES - 1))];
  return {
    auroc: perSeed.reduce((sum, value) => sum + value, 0) / perSeed.length,
    ci: [at(0.025), at(0.975)],
    perSeed,
  };
}

/** How often each image comes when both sides are drawn anew in their sizes. */
function resampled({ order, insideCount }: Walk, words: Uint32Array): Uint16Array {
  const weights = new Uint16Array(order.length);
  const outsideCount = order.length - insideCount;
  for (let i = 0; i < order.length; i++) {
    const drawn = (size: number): number => Math.floor((words[i] * size) / 2 ** 32);
    weights[i < insideCount ? drawn(insideCount) : insideCount + drawn(outsideCount)]++;
  }
  return weights;
}
