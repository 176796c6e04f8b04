// The rows of forgetting.json, and who is better than whom.
import { type MeanInterval, meanInterval } from "handgrad/continual";
import type { Config, Strategy } from "./entrants.js";
import { metricsOf, type Protocol, scenarioOf } from "./trials.js";

/** How an entrant's settings were chosen, or (`ladder`) backpropagation's at a part of its best constant rate. */
export type Choosing = "constant" | "scheduled" | "ladder";

export interface JobRecord {
  readonly protocol: Protocol;
  readonly rule: string;
  readonly choosing: Choosing;
  readonly strategy: Strategy;
  readonly config: Config;
  readonly seeds: readonly number[];
  /** R[seed][i][j]; of `joint` one row. */
  readonly R: readonly (readonly (readonly number[])[])[];
  readonly untrained: readonly (readonly number[])[];
  readonly diverged: number;
}

export interface ForgettingRow {
  readonly stream: string;
  readonly data: string;
  readonly scenario: string;
  readonly rule: string;
  readonly choosing: Choosing;
  readonly strategy: Strategy;
  readonly config: Config;
  /** Means over seeds. */
  readonly acc: number;
  readonly learning: number | null;
  readonly forgetting: number | null;
  readonly bwt: number | null;
  readonly fwt: number | null;
  readonly seeds: number;
  /** Standard deviation of ACC over seeds, and the 95 % interval of its mean. */
  readonly sd: number;
  readonly ci: readonly [number, number] | null;
  readonly diverged: number;
  /** ACC and learning accuracy of each seed. */
  readonly accs: readonly number[];
  readonly learnings: readonly number[];
  /** Means over seeds of R[i][j], the accuracy on task j after task i, and every seed's own. */
  readonly R: readonly (readonly number[])[];
  readonly allR: JobRecord["R"];
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
const digits = (value: number): number => Number(value.toFixed(5));

export function rowOf(record: JobRecord): ForgettingRow {
  const { protocol, R, untrained, seeds, strategy } = record;
  const metrics = R.map((own, seed) => metricsOf(own, strategy, untrained[seed]));
  const accs = metrics.map(({ acc }) => acc);
  const learnings = metrics.flatMap(({ learning }) => learning ?? []);
  const { mean: acc, sd, ci } = meanInterval(accs);
  const average = (pick: (one: (typeof metrics)[number]) => number | undefined): number | null =>
    strategy === "joint" ? null : digits(mean(metrics.map((one) => pick(one) ?? Number.NaN)));
  return {
    stream: protocol.stream,
    data: protocol.data,
    scenario: `${scenarioOf(protocol.stream)}-IL`,
    rule: record.rule,
    choosing: record.choosing,
    strategy,
    config: record.config,
    acc: digits(acc),
    learning: average(({ learning }) => learning),
    forgetting: average(({ forgetting }) => forgetting),
    bwt: average(({ bwt }) => bwt),
    fwt: average(({ fwt }) => fwt),
    seeds: seeds.length,
    sd: digits(sd),
    ci: ci ? [digits(ci[0]), digits(ci[1])] : null,
    diverged: record.diverged,
    accs: accs.map(digits),
    learnings: learnings.map(digits),
    R: R[0].map((row, i) => row.map((_, j) => digits(mean(R.map((own) => own[i][j]))))),
    allR: R.map((own) => own.map((row) => row.map(digits))),
  };
}

/** A difference of ACC over paired seeds, mine less theirs. */
export interface Comparison {
  readonly stream: string;
  readonly data: string;
  readonly rule: string;
  readonly choosing: Choosing;
  /**
   * Backpropagation at the constant rate that came out best here, of the chosen one and the ladder (`plain`); the better of
   * that and its best schedule (`scheduled`); the better of Adagrad's variants (`adagrad`); at the constant rate that learns
   * as well as the rule (`matched`).
   */
  readonly against: "plain" | "scheduled" | "adagrad" | "matched";
  readonly difference: number;
  readonly ci: readonly [number, number] | null;
  readonly seeds: number;
  /** Of "matched": seeds whose learning accuracy no rate of the ladder reaches; there the nearest rate stands for it. */
  readonly beyond?: number;
}

/** Every rule against backpropagation at its best constant rate, with its best schedule, with Adagrad, and matched. */
export function compare(rows: readonly ForgettingRow[]): Comparison[] {
  const naive = rows.filter(({ strategy }) => strategy === "naive");
  return naive.flatMap((row) => {
    if (row.choosing === "ladder" || (row.rule === "backpropagation" && row.choosing === "constant"))
      return [];
    const beside = naive.filter((one) => one.stream === row.stream && one.data === row.data);
    const find = (rule: string, choosing: Choosing): ForgettingRow | undefined =>
      beside.find((one) => one.rule === rule && one.choosing === choosing);
    const pairs = [
      ["plain", bestOf([find("backpropagation", "constant"), ...beside.filter(isRung)])],
      [
        "scheduled",
        bestOf([
          find("backpropagation", "scheduled"),
          find("backpropagation", "constant"),
          ...beside.filter(isRung),
        ]),
      ],
      ["adagrad", bestOf([find("adagrad", "scheduled"), find("adagrad", "constant")])],
    ] as const;
    const plain = pairs.flatMap(([against, other]) =>
      other && other.seeds === row.seeds && other !== row
        ? [{ against, differences: minus(row.accs, other.accs) }]
        : [],
    );
    const ladder = beside.filter(
      ({ rule, choosing }) => rule === "backpropagation" && choosing !== "scheduled",
    );
    const matched = ladder.length > 1 ? [matchedDifferences(row, ladder)] : [];
    return [...plain, ...matched].map(({ differences, ...rest }): Comparison => {
      const { mean: difference, ci }: MeanInterval = meanInterval(differences);
      return {
        stream: row.stream,
        data: row.data,
        rule: row.rule,
        choosing: row.choosing,
        ...rest,
        difference: digits(difference),
        ci: ci ? [digits(ci[0]), digits(ci[1])] : null,
        seeds: differences.length,
      };
    });
  });
}

const isRung = ({ choosing }: ForgettingRow): boolean => choosing === "ladder";

/** The control is the better of its variants, as they came out here: the harder one to beat. */
function bestOf(rows: readonly (ForgettingRow | undefined)[]): ForgettingRow | undefined {
  return rows.filter((row) => row !== undefined).sort((a, b) => b.acc - a.acc)[0];
}

const minus = (mine: readonly number[], theirs: readonly number[]): number[] =>
  mine.map((value, seed) => value - theirs[seed]);

/** Backpropagation's ACC where it learns as well, on the line between the two nearest rates of the ladder, a seed. */
function matchedDifferences(row: ForgettingRow, ladder: readonly ForgettingRow[]) {
  let beyond = 0;
  const count = Math.min(row.seeds, ...ladder.map(({ seeds }) => seeds));
  const differences = Array.from({ length: count }, (_, seed) => {
    const points = ladder
      .map(({ learnings, accs }) => ({ learning: learnings[seed], acc: accs[seed] }))
      .sort((a, b) => a.learning - b.learning);
    const wanted = row.learnings[seed];
    const above = points.findIndex(({ learning }) => learning >= wanted);
    if (above <= 0) beyond++;
    if (above === -1) return row.accs[seed] - points[points.length - 1].acc;
    if (above === 0) return row.accs[seed] - points[0].acc;
    const [low, high] = [points[above - 1], points[above]];
    const share = (wanted - low.learning) / (high.learning - low.learning);
    return row.accs[seed] - (low.acc + share * (high.acc - low.acc));
  });
  return { against: "matched" as const, differences, beyond };
}
