/** Ledgers: who earns attention, owns it, and values more of it the less. */
import wgsl from "../../shaders/ledger_rate.wgsl";
import { ValueError } from "../gpu/errors.js";
import { add, div, mul, pow } from "../ops/elementwise.js";
import { ItemKernel } from "../ops/item_kernel.js";
import { slice } from "../ops/slice.js";
import { type Tensor, tensor } from "../tensor.js";
import type { Tensors } from "../layers/layer.js";
import type { Site } from "./sites.js";

/** A number, or in an ensemble one for each network. */
export type PerMember = number | readonly number[];

/** Concave utility of attention earned: a payment to one that owns E counts (endowment + E)^-aversion. */
export interface LedgerOptions {
  /**
   * Whose ledger it is that sets the rate of a synapse: its own; that of the neuron it belongs to, of what the neuron's
   * outgoing weights earn (`neuron`) or the mean of what its incoming weights are paid (`receiver`); or the mean of what
   * the neuron that it listens to earns there (`sender`).
   */
  readonly holder: "synapse" | "neuron" | "receiver" | "sender";
  /** |payment|, payment², or the growth of attention |w · payment|, all per batch and before rate and optimizer. */
  readonly counts: "payment" | "square" | "growth";
  /** What one owns at the start; above 0. */
  readonly endowment: PerMember;
  /** 0 is no utility, 1 is a logarithm; at least 0. Adagrad is a synapse's ledger of squares with 0.5. */
  readonly aversion: PerMember;
  /** What is left of a ledger after a step, above 0 up to 1. Default 1. */
  readonly keep?: PerMember;
  /**
   * For `neuron`: each takes the rate that another of its layer has earned, always the same one, drawn at random. A
   * control: rates of the same distribution at any time that have nothing to do with their neuron. Default false.
   */
  readonly shuffled?: boolean;
}

const MEASURE = { payment: 0, square: 1, growth: 2 } as const;
/** Aversions whose rate needs no logarithm, which is most of what a rate costs on software adapters. */
const UTILITY: ReadonlyMap<PerMember, number> = new Map([
  [1, 1],
  [0.5, 2],
]);

/** What kernels are made for: what is counted, and by which power. */
export const ledgerConstants = ({ counts, aversion }: LedgerOptions) => ({
  MEASURE: MEASURE[counts],
  UTILITY: UTILITY.get(aversion) ?? 0,
});
const ledgerKernel = new ItemKernel<LedgerOptions>({
  name: "ledger_rate",
  wgsl,
  over: "payment",
  bindings: { w: "read", numbers: "optional", payment: "readWrite", ledger: "readWrite" },
  constants: (_shapes, options) => ledgerConstants(options),
  shape: () => ({}),
  uniforms: ({ numbers }, options) => ({ members: numbers ? numbers[0] : 1, ...ledgerNumbers(options) }),
});

/** What the kernel's uniform holds: nothing where each network has its own. */
const single = (value: PerMember): number => (typeof value === "number" ? value : 0);
const listOf = (value: PerMember): readonly number[] => (typeof value === "number" ? [value] : value);
/** The numbers of all networks, as kernels take them in their uniforms. */
export const ledgerNumbers = ({ keep = 1, endowment, aversion }: LedgerOptions) => ({
  keep: single(keep),
  endowment: single(endowment),
  aversion: single(aversion),
});

export const perMember = ({ endowment, aversion, keep = 1 }: LedgerOptions): boolean =>
  [endowment, aversion, keep].some((value) => typeof value !== "number");

/** @throws ValueError for numbers out of range, or a shuffle of what has no neurons */
export function checkLedger({
  holder,
  endowment,
  aversion,
  keep = 1,
  shuffled = false,
}: LedgerOptions): void {
  for (const one of listOf(endowment)) {
    if (!(one > 0 && Number.isFinite(one)))
      throw new ValueError(`ledger: endowment is ${one}, and a finite number above 0 is taken`);
  }
  for (const one of listOf(aversion)) {
    if (!(one >= 0 && Number.isFinite(one)))
      throw new ValueError(`ledger: aversion is ${one}, and a finite number of at least 0 is taken`);
  }
  for (const one of listOf(keep)) {
    if (!(one > 0 && one <= 1)) throw new ValueError(`ledger: keep is ${one}, and above 0 to 1 is taken`);
  }
  if (shuffled && holder !== "neuron")
    throw new ValueError(`ledger: shuffled is taken for the holder neuron, and the holder is ${holder}`);
}

/** [members, 3], each network's keep, endowment and aversion. @throws ValueError for another number of them */
export function numbersOf(
  { endowment, aversion, keep = 1 }: LedgerOptions,
  { members, weights }: Site,
): Tensor {
  const columns = [keep, endowment, aversion].map((value) =>
    typeof value === "number" ? new Array<number>(members).fill(value) : value,
  );
  const wrong = columns.find((column) => column.length !== members);
  if (wrong) {
    throw new ValueError(
      `ledger: there are ${wrong.length} numbers for ${members} networks; give one, or one for each network of an ensemble`,
    );
  }
  return tensor(
    weights.gpu,
    Array.from({ length: members }, (_, i) => columns.map((column) => column[i])),
  );
}

export function bySynapses(
  options: LedgerOptions,
  members: number,
  w: Tensor,
  payment: Tensor,
  ledger: Tensor,
  numbers?: Tensor,
): void {
  // Items of four must not reach over two networks.
  ledgerKernel.of(payment.size / members).run({ w, numbers, payment, ledger }, options);
}

/** Adds what was earned to a ledger and gives the rates. */
export function rateOf(options: LedgerOptions, earned: Tensor, { ledger, numbers }: Tensors): Tensor {
  const column = (index: number): Tensor => slice(numbers, [0, index], [numbers.shape[0], index + 1]);
  const [keep, endowment, aversion] = numbers
    ? [column(0), column(1), column(2)]
    : [single(options.keep ?? 1), single(options.endowment), single(options.aversion)];
  mul(ledger, keep, { out: ledger });
  add(ledger, earned, { out: ledger });
  return div(1, pow(add(ledger, endowment), aversion));
}
