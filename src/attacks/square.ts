/**
 * The Square attack (Andriushchenko et al., ECCV 2020): random search that asks the model for its output
 * alone.
 */
import proposeWgsl from "../../shaders/square_propose.wgsl";
import { ShapeError, ValueError } from "../gpu/errors.js";
import { defineKernel, gridFor, type Shape, sizeOf } from "../gpu/kernel.js";
import { advance } from "../ops/random.js";
import { seedKey } from "../random.js";
import { zeros } from "../tensor.js";
import { copyRowsWhere } from "./copy_rows.js";
import {
  type Attack,
  type AttackOptions,
  aimsOf,
  type Batch,
  checkCount,
  checkOptions,
  epsilonOf,
  type Recorded,
  sampleSizes,
} from "./definition.js";
import { enter, openLedger } from "./ledger.js";
import { marginLoss } from "./losses.js";
import type { Differentiable } from "./model.js";
import { lanesASample } from "./start.js";
import { STREAMS } from "./targets.js";

export interface SquareOptions extends AttackOptions {
  /** "linf", and no other. */
  readonly norm?: "linf";
  /** How often the model is asked; default 1000. */
  readonly queries?: number;
  /**
   * The share of the image that the first windows cover, above 0 to 1; default 0.8. It is halved nine times.
   */
  readonly share?: number;
  /** [channels, height, width] where x is flat; default x's own. */
  readonly imageShape?: readonly [number, number, number];
}

interface ProposeCall {
  readonly image: readonly number[];
  readonly queries: number;
  readonly share: number;
  readonly seed: number;
}

/** Queries that are one program: it replays until all are made. */
const QUERIES_A_ROUND = 50;
/** Points of the curve, at most and beside the first. */
const CURVE_POINTS = 100;

const proposeKernel = defineKernel<ProposeCall>({
  name: "square_propose",
  wgsl: proposeWgsl,
  bindings: {
    x: "read",
    best: "read",
    samples: "optional",
    draw: "optional",
    query: "read",
    epsilon: "read",
    candidate: "write",
    images: "write",
  },
  constants: (_shapes, _options, gpu) => ({ WORKGROUP_SIZE: lanesASample(gpu) }),
  shape: ({ x }) => ({ candidate: x, images: x }),
  uniforms: ({ x }, { image: [channels, height, width], queries, share, seed }) => {
    const [low, high] = seedKey(seed);
    return {
      count: x[0],
      channels,
      height,
      width,
      queries,
      share,
      stream: STREAMS.square,
      key_low: low,
      key_high: high,
    };
  },
  grid: ({ x }, limits) => gridFor(x[0], 1, limits),
  work: ({ x }) => 40 * sizeOf(x),
});

function imageOf(shape: Shape, given?: readonly number[]): readonly number[] {
  const image = given ?? shape.slice(1);
  if (image.length === 3 && sizeOf(image) === sizeOf(shape.slice(1))) return image;
  const asked = given ? ` and imageShape is [${given}]` : "";
  throw new ShapeError(
    `square: x has shape [${shape}]${asked}, and images [n, channels, height, width] are taken, or flat ` +
      `ones with imageShape [channels, height, width]`,
  );
}

/**
 * The Square attack in linf: tries windows of ±ε and keeps what raises the loss, by default the margin. It
 * sees outputs and no gradients, so a model that it beats while white-box attacks fail hides its gradients.
 * @throws ValueError for options out of range
 * @example
 * const { success } = await attack(model, images, square({ epsilon: 8 / 255, queries: 5000 }), { labels });
 */
export function square(options: SquareOptions): Attack {
  const name = "square";
  checkOptions(name, options);
  const { norm = "linf", epsilon, loss = marginLoss, target, seed = 0 } = options;
  const { queries = 1000, share = 0.8, imageShape, restarts = 1, earlyStop = false } = options;
  if (norm !== "linf") throw new ValueError(`${name}: norm is ${norm}, and "linf" is taken`);
  checkCount(name, "queries", queries, 1);
  if (!(share > 0 && share <= 1))
    throw new ValueError(`${name}: share is ${share}, and a number above 0 to 1 is taken`);
  const rounds = Math.ceil(queries / QUERIES_A_ROUND);
  const perRound = Math.ceil(queries / rounds);
  const stride = Math.ceil(queries / CURVE_POINTS);
  const base = { name, norm, epsilon, loss, target, restarts, earlyStop, seed };

  const record = (model: Differentiable, batch: Batch): Recorded => {
    const { x, samples, draw } = batch;
    const { gpu } = x;
    const { count } = sampleSizes(name, x.shape);
    const call = { image: imageOf(x.shape, imageShape), queries, share, seed };
    return gpu.scope(() => {
      const aims = aimsOf(model, batch, base);
      const ledger = openLedger(gpu, count, Math.ceil(queries / stride));
      const best = zeros(gpu, x.shape);
      const query = zeros(gpu, [1], { dtype: "u32" });
      const radius = epsilonOf(batch, base);
      const ask = (): void => {
        const inputs = { x, best, samples, draw, query, epsilon: radius };
        const { candidate, images } = proposeKernel.run(inputs, call);
        const judged = loss(model.forward(images).y, aims);
        const improved = enter(ledger, judged, { query, stride }, { bestCurve: true });
        copyRowsWhere(candidate, improved, best);
        advance(query);
      };
      const round = (): void => {
        for (let i = 0; i < perRound; i++) gpu.scope(ask);
      };
      const outcome = { delta: best, loss: ledger.best, flags: ledger.flags, curve: ledger.curve };
      const kept = [query, radius, ...Object.values(aims).filter((value) => typeof value === "object")];
      return { outcome, rounds, round, kept };
    });
  };
  return { ...base, record };
}
