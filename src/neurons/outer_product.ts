/** What a dense layer's synapses are paid, at the rate of who gets it: product, ledger and rate in one kernel. */
import wgsl from "../../shaders/outer_product_rate.wgsl";
import { KernelError, ShapeError } from "../gpu/errors.js";
import type { Gpu } from "../gpu/gpu.js";
import { defineKernel, gridFor, type Kernel, type Shape, sizeOf } from "../gpu/kernel.js";
import { adapterTraits } from "../ops/matmul_plan.js";
import { memoize } from "../ops/memoize.js";
import { empty, type Tensor } from "../tensor.js";
import { ledgerConstants, ledgerNumbers, type LedgerOptions } from "./ledger.js";

/** A product's factors and what makes the rate; of an ensemble every tensor has the members as its first dimension. */
export interface RatedProduct {
  /** [samples, units]; without it 1 everywhere, for the payments of a bias. */
  readonly x?: Tensor;
  /** [samples, receivers] */
  readonly signal: Tensor;
  /** The shape of the payments; taken where growth is counted. */
  readonly w?: Tensor;
  /** The shape of the payments: every synapse's own, brought up to date, sets the rate. */
  readonly ledger?: Tensor;
  /** [receivers], rates that are known. */
  readonly rates?: Tensor;
  /** [members, 3], each network's keep, endowment and aversion. */
  readonly numbers?: Tensor;
}

/** What one invocation computes, and how many of them share the rows. */
export interface Tile {
  readonly rows: number;
  /** Loads of receivers: of 4 each, or of 1 where 4 does not divide their number. */
  readonly blocks: number;
  /** Samples at a time. */
  readonly step: number;
  readonly group: readonly [rows: number, columns: number];
  /** Lanes of a subgroup that share what they load; 1 is none. */
  readonly lanes: number;
}

interface Call {
  readonly options: LedgerOptions;
  readonly earned: boolean;
  readonly tile: Tile;
  readonly sizes: Sizes;
}

interface Sizes {
  readonly members: number;
  readonly samples: number;
  readonly units: number;
  readonly receivers: number;
}

/** A name that shaders/minify.mjs keeps. */
const ALONE = /^fn handed.*$/m;

/** Loads of `rows` units and `width` receivers; lanes that share take the feature's own function. */
function textOf(rows: number, width: number, shares: boolean): string {
  let text = wgsl;
  if (rows === 1) text = text.replace("alias Rows = vec4f;", "alias Rows = f32;");
  if (width === 1) text = text.replace("alias Item = vec4f;", "alias Item = f32;");
  if (!shares) return text;
  if (!ALONE.test(text))
    throw new KernelError('kernel outer_product_rate: its WGSL has no line "fn handed…"');
  return `enable subgroups; ${text.replace(ALONE, "").replaceAll("handed(", "subgroupBroadcast(")}`;
}

const kernelOf = memoize((form: string): Kernel<Call> => {
  const [rows, width, shares] = form.split(",").map(Number);
  return defineKernel<Call>({
    name: "outer_product_rate",
    wgsl: textOf(rows, width, shares === 1),
    bindings: {
      x: "optional",
      signal: "read",
      w: "optional",
      rates: "optional",
      numbers: "optional",
      ledger: "readWrite",
      payment: "write",
      earned: "write",
    },
    constants: ({ ledger }, { options, earned, tile }) => ({
      ...ledgerConstants(options),
      LEDGER: sizeOf(ledger) > 0,
      EARNED: earned,
      ROWS: rows,
      WIDTH: width,
      TILE_M: tile.rows,
      BLOCKS_N: tile.blocks,
      STEP: tile.step,
      GROUP_M: tile.group[0],
      GROUP_N: tile.group[1],
      LANES: tile.lanes,
    }),
    shape: (shapes, { sizes, earned, tile }) => {
      const { signal, w, ledger, rates } = shapes;
      const own = signal.length === 3 ? [sizes.members] : [];
      const payment = [...own, ...(shapes.x ? [sizes.units] : []), sizes.receivers];
      const expected: Record<string, Shape> = {
        w: payment,
        ledger: payment,
        rates: [...own, sizes.receivers],
        numbers: [sizes.members, 3],
      };
      for (const [name, shape] of Object.entries({ w, ledger, rates, numbers: shapes.numbers })) {
        if (!shape || sizeOf(shape) === 0 || shape.join() === expected[name].join()) continue;
        throw new ShapeError(`ratedProduct: ${name} has shape [${shape}], and [${expected[name]}] is taken`);
      }
      return { payment, earned: earned ? [...own, sizes.units, columnsOf(sizes, tile, width)] : [0] };
    },
    uniforms: (_shapes, { options, sizes, tile }) => ({
      ...sizes,
      tiles_m: tilesOf(sizes, tile, width)[0],
      tiles_n: tilesOf(sizes, tile, width)[1],
      ...ledgerNumbers(options),
    }),
    grid: (_shapes, limits, { sizes, tile }) => {
      const [down, across] = tilesOf(sizes, tile, width);
      return gridFor(sizes.members * down * across, 1, limits);
    },
    work: (_shapes, { sizes: { members, samples, units, receivers } }) =>
      2 * members * units * receivers * (samples + 16),
  });
});

function tilesOf(
  { units, receivers }: Sizes,
  { rows, blocks, group }: Tile,
  width: number,
): [number, number] {
  return [Math.ceil(units / (rows * group[0])), Math.ceil(receivers / (width * blocks * group[1]))];
}

const columnsOf = (sizes: Sizes, tile: Tile, width: number): number =>
  tilesOf(sizes, tile, width)[1] * tile.group[1];

/** One row, for a bias. */
const ROW: Tile = { rows: 1, blocks: 1, step: 1, group: [1, 16], lanes: 1 };

/**
 * Software adapters share loads between lanes, and a tile is as large as pays: on SwiftShader 16 × 8 a lane takes 0.8 to 0.95
 * of the time of 16 × 4; on lavapipe 16 × 4 is not clearly faster than 8 × 4, and takes twice as long to compile.
 */
function tileFor(gpu: Gpu, { units, receivers }: Sizes): Tile {
  if (units === 1) return ROW;
  const { software, lanes } = adapterTraits(gpu);
  if (!software || (lanes !== 4 && lanes !== 8)) {
    return { rows: 4, blocks: 1, step: 1, group: [8, 8], lanes: 1 };
  }
  const wide = lanes === 4 && receivers > 16 ? 2 : 1;
  const blocks = receivers % 4 === 0 ? wide : 16 / lanes;
  return { rows: lanes === 4 ? 16 : 8, blocks, step: 4, group: [1, lanes], lanes };
}

export interface RatedOptions {
  /** What is counted, and the numbers of the ledger. */
  readonly ledger: LedgerOptions;
  /** Whether what senders earn is wanted. Default false. */
  readonly earned?: boolean;
  /** For tests and measurements. */
  readonly tile?: Tile;
}

/**
 * What synapses are paid by a batch, raw · rate with raw = xᵀ · signal.
 * @returns `payments` of the shape of the weights; `earned` [units, tiles], what `ledger.counts` measures of the raw
 *   payments (of growth with its sign), summed over the receivers of each tile
 * @throws ShapeError
 */
export function ratedProduct(
  { x, signal, w, ledger, rates, numbers }: RatedProduct,
  { ledger: options, earned = false, tile }: RatedOptions,
): { readonly payments: Tensor; readonly earned?: Tensor } {
  const { gpu } = signal;
  const sizes = sizesOf(x?.shape, signal.shape);
  const call = { options, earned, sizes, tile: tile ?? tileFor(gpu, sizes) };
  const [rows, width] = [sizes.units, sizes.receivers].map((size) => (size % 4 === 0 ? 4 : 1));
  const kernel = kernelOf([rows, width, call.tile.lanes > 1 ? 1 : 0].join());
  const measured = options.counts === "growth" && (earned || ledger !== undefined);
  return gpu.scope(() => {
    // Without a ledger there is an empty one: what a kernel writes is never missing.
    const owned = ledger ?? empty(gpu, [0]);
    const inputs = { x, signal, w: measured ? w : undefined, rates, numbers, ledger: owned };
    const made = kernel.run(inputs, call);
    return earned ? { payments: made.payment, earned: made.earned } : { payments: made.payment };
  });
}

/** @throws ShapeError */
function sizesOf(x: Shape | undefined, signal: Shape): Sizes {
  const fits = !x || (x.length === signal.length && x.slice(0, -1).join() === signal.slice(0, -1).join());
  if (!fits || signal.length < 2 || signal.length > 3) {
    throw new ShapeError(
      `ratedProduct: x has shape [${x}] and the signal [${signal}]; [samples, units] and [samples, receivers], or both ` +
        "with the members of an ensemble before, are taken",
    );
  }
  const [samples, receivers] = signal.slice(-2);
  return { members: signal.length === 3 ? signal[0] : 1, samples, units: x?.at(-1) ?? 1, receivers };
}

/**
 * Floating-point operations up to which the fused kernel is taken. The tuned product and `ledger_rate` behind it take this
 * many times as long (processor time, medians of pairs, batches of 50 and 100): on SwiftShader 3 to 4 at 0.4 MFLOP, 1.3 to 1.8
 * at 5, 0.9 to 1.1 at 20; on lavapipe 1.3, 1.0 to 1.3, and 0.85. Beyond that the product is nearly all of the time, and its
 * tuned variants win. Hardware was not measured; there a dispatch less counts for more, and `pay` draws the same line.
 */
const MOST_FUSED_WORK = 1e7;

/** Whether one kernel is faster than the tuned product and the rate behind it. */
export function isFusedFaster(x: Tensor, signal: Tensor): boolean {
  const { members, samples, units, receivers } = sizesOf(x.shape, signal.shape);
  return 2 * members * samples * units * receivers <= MOST_FUSED_WORK;
}
