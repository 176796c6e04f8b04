// Who takes part in the experiments on forgetting: learning rules and controls, each with the settings that are searched.
import { ValueError } from "handgrad";
import {
  attentionRule,
  earnedRule,
  type LedgerOptions,
  type Rule,
  ruleNamed,
  slowRule,
} from "handgrad/neurons";

/** How a learning rate goes over a stream; every entrant may have each of them. */
export const SCHEDULES = {
  constant: () => 1,
  /** 1 / (1 + t), t in tasks. */
  "inverse-1": (share, tasks) => 1 / (1 + share * tasks),
  "inverse-4": (share, tasks) => 1 / (1 + 4 * share * tasks),
  /** Half a cosine to 0 at the end of the stream, which it must know. */
  cosine: (share) => (1 + Math.cos(Math.PI * share)) / 2,
} as const satisfies Record<string, (share: number, tasks: number) => number>;

export type ScheduleName = keyof typeof SCHEDULES;

/** One choice of an entrant's settings. */
export interface Config {
  readonly schedule: ScheduleName;
  /**
   * The learning rate; with a ledger that of a synapse whose ledger is at the entrant's `typical`, so that rates of all
   * entrants are of one size.
   */
  readonly rate: number;
  /** Of a ledger. */
  readonly endowment?: number;
  /** Of a strategy: λ of elastic weight consolidation, c of synaptic intelligence, images of each task that replay keeps. */
  readonly strength?: number;
}

/** How a stream is met beside the learning rule; `naive` is one task after the other and nothing else. */
export const STRATEGIES = ["naive", "joint", "ewc", "si", "replay"] as const;
export type Strategy = (typeof STRATEGIES)[number];

export interface Entrant {
  readonly name: string;
  readonly title: string;
  /** Whether a synapse needs nothing but what its two neurons have: their outputs, payments and ledgers. */
  readonly local: boolean;
  readonly control: boolean;
  readonly rates: readonly number[];
  readonly endowments?: readonly number[];
  readonly strategy: Strategy;
  readonly strengths?: readonly number[];
  readonly ledger?: Omit<LedgerOptions, "endowment">;
  /** A usual size of the ledger at the end of a stream. */
  readonly typical?: number;
  /** The rule without its ledger. */
  readonly base: Rule;
}

const PLAIN = [0.003, 0.006, 0.0125, 0.025, 0.05, 0.1, 0.2, 0.4];
const LEDGER = [0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.4];

interface Earner {
  readonly ledger: Omit<LedgerOptions, "endowment">;
  readonly typical: number;
  readonly endowments: readonly number[];
  readonly rates?: readonly number[];
  readonly base?: Rule;
  readonly control?: boolean;
}

const earner = (
  name: string,
  title: string,
  { base = attentionRule, control = false, rates = LEDGER, ...rest }: Earner,
): Entrant => ({
  name,
  title,
  local: true,
  control,
  rates,
  strategy: "naive",
  base,
  ...rest,
});

const plain = (name: string, title: string, options: Partial<Entrant> = {}): Entrant => ({
  name,
  title,
  local: true,
  control: false,
  rates: PLAIN,
  strategy: "naive",
  base: ruleNamed(name),
  ...options,
});

/** Backpropagation with what is usually done against forgetting: its search has strengths where a ledger's has endowments. */
const helped = (name: string, title: string, strategy: Strategy, strengths?: readonly number[]): Entrant => ({
  ...plain("backpropagation", title, { local: false, control: true }),
  name,
  strategy,
  strengths,
});

/** Ledgers of payment² a synapse; the exponent 0.5 is Adagrad. */
const squares = (
  [
    [0.5, [1e-8, 1e-5, 1e-4, 1e-3], "backpropagation with Adagrad (payments², p = .5)"],
    [0.6, [1e-7, 1e-5], "payments², p = .6"],
    [0.75, [1e-5, 1e-4], "payments², p = .75"],
    [1, [1e-4, 1e-3, 1e-2], "payments², p = 1"],
  ] as const
).map(([aversion, endowments, title]) =>
  earner(aversion === 0.5 ? "adagrad" : `square-${aversion}`, title, {
    ledger: { holder: "synapse", counts: "square", aversion },
    typical: 3e-4,
    endowments,
    control: aversion === 0.5,
  }),
);

const fading = { holder: "synapse", counts: "square", aversion: 0.75, keep: 0.998 } as const;
const payments = { holder: "synapse", counts: "payment" } as const;
const growth = { holder: "synapse", counts: "growth" } as const;
const neuron = { holder: "neuron", counts: "growth", aversion: 1 } as const;
const receiver = { holder: "receiver", counts: "square", aversion: 0.5 } as const;
const sender = { holder: "sender", counts: "square", aversion: 0.5 } as const;

export const ENTRANTS: readonly Entrant[] = [
  plain("backpropagation", "backpropagation", { local: false, control: true }),
  plain("attention", "first-order attention (the same)"),
  ...squares,
  earner("square-fading", "payments², p = .75, forgotten slowly", {
    ledger: fading,
    typical: 1e-4,
    endowments: [1e-5, 1e-4],
  }),
  earner("square-slow", "payments², p = .75, through slow attention", {
    ledger: { holder: "synapse", counts: "square", aversion: 0.75 },
    typical: 3e-4,
    endowments: [1e-5, 1e-4],
    base: slowRule(0.99),
  }),
  earner("payment-0.5", "payments, p = .5", {
    ledger: { ...payments, aversion: 0.5 },
    typical: 0.05,
    endowments: [0.001, 0.01],
  }),
  earner("payment-1", "payments, p = 1", {
    ledger: { ...payments, aversion: 1 },
    typical: 0.05,
    endowments: [0.01, 0.1],
  }),
  earner("growth-0.5", "growth of a synapse, p = .5", {
    ledger: { ...growth, aversion: 0.5 },
    typical: 0.003,
    endowments: [1e-4, 1e-3],
  }),
  earner("growth-1", "growth of a synapse, p = 1", {
    ledger: { ...growth, aversion: 1 },
    typical: 0.003,
    endowments: [1e-3, 1e-2],
  }),
  earner("neuron", "attention earned by a neuron, p = 1", {
    ledger: neuron,
    typical: 0,
    endowments: [0.3, 1],
    rates: PLAIN,
  }),
  earner("neuron-shuffled", "control: the same rates, of other neurons", {
    ledger: { ...neuron, shuffled: true },
    typical: 0,
    endowments: [0.3, 1],
    rates: PLAIN,
    control: true,
  }),
  earner("receiver-0.5", "payments² of the receiving neuron, p = .5", {
    ledger: receiver,
    typical: 3e-4,
    endowments: [1e-8, 1e-5],
    rates: PLAIN,
  }),
  earner("sender-0.5", "payments² of the sending neuron, p = .5", {
    ledger: sender,
    typical: 3e-4,
    endowments: [1e-8, 1e-5],
  }),
  plain("ln", "logarithm of attention held"),
  plain("power-1.5", "attention as Σ|w|^1.5"),
  plain("share", "share of attention"),
  plain("slow", "slow attention"),
  plain("normalized", "a unit step a neuron", {
    rates: [2e-4, 4e-4, 8e-4, 0.0015, 0.003, 0.006, 0.012, 0.025],
  }),
  plain("direct-feedback-alignment", "direct feedback alignment", { control: true }),
  helped("joint", "all tasks at once", "joint"),
  helped("ewc", "elastic weight consolidation", "ewc", [1, 10, 100, 1000]),
  helped("si", "synaptic intelligence", "si", [0.01, 0.1, 1, 10]),
  // A memory is a budget, not a setting to be searched.
  helped("replay-50", "replay of 50 images a task", "replay", [50]),
  helped("replay-200", "replay of 200 images a task", "replay", [200]),
];

/** @throws ValueError for a name that is none */
export function entrantNamed(name: string): Entrant {
  const found = ENTRANTS.find((entrant) => entrant.name === name);
  if (found) return found;
  throw new ValueError(
    `rule: "${name}" is not known; take some of ${ENTRANTS.map((one) => one.name).join(", ")}`,
  );
}

/**
 * All that may be chosen for an entrant, each of its rates with each schedule (and each endowment or strength).
 * @param wide with two more rates at both ends
 */
export function gridOf({ rates: usual, endowments, strengths }: Entrant, wide = false): Config[] {
  const [first, last] = [usual[0], usual[usual.length - 1]];
  const rates = wide ? [first / 4, first / 2, ...usual, 2 * last, 4 * last] : usual;
  const schedules = Object.keys(SCHEDULES) as ScheduleName[];
  return schedules.flatMap((schedule) =>
    rates.flatMap((rate) => [
      ...(endowments ?? []).map((endowment) => ({ schedule, rate, endowment })),
      ...(strengths ?? []).map((strength) => ({ schedule, rate, strength })),
      ...(endowments || strengths ? [] : [{ schedule, rate }]),
    ]),
  );
}

/** What one ensemble can have networks of: the same strategy with one strength, and rules of a family. */
export function groupOf(entrant: Entrant, { strength }: Config): string {
  const { strategy } = entrant;
  const family = familyOf(entrant);
  if (strategy === "naive") return family;
  return [family, strategy, ...(strength === undefined ? [] : [strength])].join(" ");
}

/** Rules of a family differ in numbers only. */
function familyOf({ base, ledger }: Entrant): string {
  if (!ledger) return base.name;
  const { holder, counts, shuffled = false } = ledger;
  return [base.name, holder, counts, ...(shuffled ? ["shuffled"] : [])].join(" ");
}

/**
 * The rule of an ensemble, given what each network is.
 * @throws ValueError if they are of several groups
 */
export function ruleOf(members: readonly { readonly entrant: Entrant; readonly config: Config }[]): Rule {
  const [{ entrant: first, config: own }] = members;
  const group = groupOf(first, own);
  const stranger = members.find(({ entrant, config }) => groupOf(entrant, config) !== group)?.entrant;
  if (stranger)
    throw new ValueError(
      `rule: ${first.name} and ${stranger.name} differ in more than numbers; train them apart`,
    );
  if (!first.ledger) return first.base;
  const ledger: LedgerOptions = {
    ...first.ledger,
    endowment: members.map(({ config }) => config.endowment ?? 1),
    aversion: members.map(({ entrant }) => Number(entrant.ledger?.aversion)),
    keep: members.map(({ entrant }) => Number(entrant.ledger?.keep ?? 1)),
  };
  return {
    ...first.base,
    ...earnedRule(familyOf(first), first.title, ledger),
    feedback: first.base.feedback,
  };
}

/** The learning rate of a step, `share` of the stream's steps being done. */
export function rateOf(
  { entrant, config }: { readonly entrant: Entrant; readonly config: Config },
  share: number,
  tasks: number,
): number {
  const { ledger, typical = 0 } = entrant;
  const unit = ledger ? ((config.endowment ?? 1) + typical) ** Number(ledger.aversion) : 1;
  return config.rate * unit * SCHEDULES[config.schedule](share, tasks);
}
