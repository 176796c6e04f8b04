// `npm run neurons -- sweep`: settings for every entrant by successive halving, on validation images.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Gpu, philoxPermutation, ValueError } from "handgrad";
import { Checkpoint, mergeCheckpoints } from "../experiment/checkpoint.js";
import { checkpointFile, ofShard, runJobs, type Shard, shardFiles, WHOLE } from "../experiment/shard.js";
import { startProgress } from "../start/progress.js";
import { printTable } from "../start/table.js";
import {
  type Config,
  type Entrant,
  entrantNamed,
  gridOf,
  groupOf,
  SCHEDULES,
  type ScheduleName,
} from "./entrants.js";
import { type Member, metricsOf, type Protocol, runGroup, trialWork } from "./trials.js";

export interface SweepOptions {
  readonly protocol: Protocol;
  readonly rules: readonly string[];
  /** Settings of each rule that the first rung tries; all with `full`. */
  readonly configs: number;
  /** Of the last rung. */
  readonly seeds: number;
  readonly full: boolean;
  readonly seed: number;
  readonly shard: Shard;
  /** Which rung to run; all, one after the other, without a shard. */
  readonly rung?: number;
  readonly fresh: boolean;
  readonly out: string;
}

/** What a trial gave. */
export interface Score {
  readonly rule: string;
  readonly config: Config;
  readonly seed: number;
  readonly acc: number;
  readonly learning: number;
}

/** Networks that train at once: settings and seeds of a group of entrants. */
interface Job {
  readonly name: string;
  readonly protocol: Protocol;
  readonly members: readonly Member[];
}

/** What is chosen for an entrant: the best of constant rates, and the best of all schedules. */
export interface Choice {
  readonly rule: string;
  readonly constant: Config;
  readonly scheduled: Config;
  /** Mean validation ACC of the two. */
  readonly constantAcc: number;
  readonly scheduledAcc: number;
}

/** Far from the seeds of `forget`: no permutation and no network of a sweep is met again. */
const SWEEP_SEEDS = 1_000_000;
/** The share of settings that the second rung keeps. */
const KEEP = 1 / 4;
/** Networks that train at once. */
export const AT_ONCE = 48;

const rungName = (protocol: Protocol, rung: number): string => `${sweepName(protocol)}-rung${rung}`;
export const sweepName = ({ stream, data }: Protocol): string =>
  data === "mnist" ? `sweep-${stream}` : `sweep-${stream}-${data}`;

/** Rungs: all settings on half of the data with one seed, then the best on all with several. */
const rungsOf = ({ full }: SweepOptions): readonly number[] => (full ? [1] : [1, 2]);

/** Runs the rungs, prints what is chosen and writes it; a shard of a rung only runs. */
export async function runSweep(gpu: Gpu, options: SweepOptions): Promise<readonly Choice[] | undefined> {
  const { shard, protocol, out } = options;
  if (shard.count > 1 && options.rung === undefined && rungsOf(options).length > 1) {
    throw new ValueError("--shard is of one rung: run every shard with --rung 1 first, then with --rung 2");
  }
  await announce(options);
  const rungs = options.rung === undefined ? rungsOf(options) : [options.rung];
  for (const rung of rungs) {
    const jobs = await jobsOf(options, rung);
    const checkpoint = Checkpoint.open<readonly Score[]>(
      checkpointFile(out, rungName(protocol, rung), shard),
      { settings: settingsOf(options, rung), about: { adapter: gpu.info.description }, fresh: options.fresh },
    );
    const progress = startProgress(`${sweepName(protocol)}, rung ${rung}`);
    const own = ofShard(jobs, shard).length;
    let at = 0;
    try {
      await runJobs(jobs, {
        shard,
        checkpoint,
        keyOf: ({ name }) => name,
        run: (job) => score(gpu, job, (share) => progress.update((at + share) / own, job.name)),
        onProgress: (done, _of, job) => {
          at = done;
          progress.update(done / own, job?.name ?? "");
          if (job && !process.stderr.isTTY)
            console.log(`${new Date().toISOString().slice(11, 19)} ${done}/${own} ${job.name}`);
        },
      });
    } finally {
      progress.stop();
      checkpoint.close();
    }
  }
  if (shard.count > 1) return undefined;
  const last = rungsOf(options).at(-1)!;
  return rungs.includes(last) ? conclude(out, protocol, last) : undefined;
}

const settingsOf = ({ protocol, rules, configs, seeds, full, seed }: SweepOptions, rung: number) => ({
  protocol,
  rules,
  configs,
  seeds,
  full,
  seed,
  rung,
});

async function score(gpu: Gpu, job: Job, onProgress: (share: number) => void): Promise<readonly Score[]> {
  const { members, protocol } = job;
  const { R, diverged } = await runGroup(gpu, { protocol, members, rows: "ends", onProgress });
  return members.map(({ entrant, config, seed }, index) => {
    const { acc, learning = 0 } = metricsOf(R[index], entrant.strategy);
    // What is no number any more has learnt nothing.
    const finite = diverged.includes(index) ? 0 : 1;
    return { rule: entrant.name, config, seed, acc: finite * acc, learning: finite * learning };
  });
}

async function jobsOf(options: SweepOptions, rung: number): Promise<Job[]> {
  const { rules, protocol, seeds, full, seed, out } = options;
  const first = rung === 1 && !full;
  const own: Protocol = { ...protocol, perTask: first ? Math.ceil(protocol.perTask / 2) : protocol.perTask };
  const earlier = rung > 1 ? await scoresOf(out, protocol, rung - 1) : undefined;
  const count = first ? 1 : seeds;
  const groups = new Map<string, Member[]>();
  for (const entrant of rules.map(entrantNamed)) {
    const configs = earlier ? nextOf(earlier, entrant.name) : drawConfigs(entrant, options);
    for (const config of configs) {
      const group = groupOf(entrant, config);
      const members = Array.from({ length: count }, (_, index) => ({
        entrant,
        config,
        seed: SWEEP_SEEDS + 1000 * seed + index,
      }));
      groups.set(group, [...(groups.get(group) ?? []), ...members]);
    }
  }
  return [...groups].flatMap(([group, members]) => {
    const parts = Math.ceil(members.length / AT_ONCE);
    const size = Math.ceil(members.length / parts);
    return Array.from({ length: parts }, (_, part): Job => {
      const these = members.slice(part * size, (part + 1) * size);
      return { name: parts === 1 ? group : `${group} ${part + 1}/${parts}`, protocol: own, members: these };
    });
  });
}

/** As many settings for each rule, constant rates first: each rate once, then others out of the grid at random. */
function drawConfigs(entrant: Entrant, { configs, full, seed }: SweepOptions): Config[] {
  const grid = gridOf(entrant, full);
  if (full || grid.length <= configs) return grid;
  const shuffled = Array.from(philoxPermutation(grid.length, seed), (at) => grid[at]);
  const constant = entrant.rates.flatMap((rate) => {
    const found = shuffled.find((config) => config.schedule === "constant" && config.rate === rate);
    return found ? [found] : [];
  });
  return [...constant, ...shuffled.filter((config) => !constant.includes(config))].slice(0, configs);
}

export type Scores = ReadonlyMap<string, readonly Score[]>;

async function scoresOf(out: string, protocol: Protocol, rung: number): Promise<Scores> {
  const { values } = mergeCheckpoints<readonly Score[]>(await shardFiles(out, rungName(protocol, rung)));
  const scores = new Map<string, Score[]>();
  for (const one of [...values.values()].flat()) scores.set(one.rule, [...(scores.get(one.rule) ?? []), one]);
  return scores;
}

interface Mean {
  readonly config: Config;
  readonly acc: number;
}

/** Settings by their mean accuracy over seeds, the best first. */
function ranked(scores: readonly Score[]): Mean[] {
  const groups = new Map<string, Score[]>();
  for (const one of scores) {
    const key = JSON.stringify(one.config);
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return [...groups.values()]
    .map((own) => ({ config: own[0].config, acc: own.reduce((sum, { acc }) => sum + acc, 0) / own.length }))
    .sort((a, b) => b.acc - a.acc);
}

/**
 * What the second rung tries. Of the better half of the rules, and of controls: the best quarter, the two best constant
 * rates, rates beyond the grid if the best of these stands on its edge, and twice the best constant rate with every
 * schedule. Of the other rules: the best, and the best constant rate.
 */
function nextOf(scores: Scores, name: string): Config[] {
  const own = scores.get(name);
  if (!own) throw new ValueError(`sweep: the rung before has no ${name}; run it with the same --rules`);
  const all = ranked(own).map(({ config }) => config);
  const constant = all.filter(({ schedule }) => schedule === "constant");
  const entrant = entrantNamed(name);
  if (!entrant.control && !isInBetterHalf(scores, name)) return distinct([all[0], ...constant.slice(0, 1)]);
  const [best = all[0]] = constant;
  const { rates } = entrant;
  const edges = [
    ...(best.rate === rates[rates.length - 1] ? [2, 4] : []),
    ...(best.rate === rates[0] ? [1 / 2, 1 / 4] : []),
  ];
  const schedules = (Object.keys(SCHEDULES) as ScheduleName[]).filter((schedule) => schedule !== "constant");
  return distinct([
    ...all.slice(0, Math.ceil(KEEP * all.length)),
    ...constant.slice(0, 2),
    ...edges.map((times) => ({ ...best, rate: best.rate * times })),
    ...schedules.map((schedule) => ({ ...best, schedule, rate: 2 * best.rate })),
  ]);
}

function isInBetterHalf(scores: Scores, name: string): boolean {
  const rules = [...scores].map(([rule, own]) => ({ rule, acc: ranked(own)[0].acc }));
  rules.sort((a, b) => b.acc - a.acc);
  return rules.findIndex(({ rule }) => rule === name) < rules.length / 2;
}

const distinct = (configs: readonly Config[]): Config[] => [
  ...new Map(
    configs.map(({ schedule, rate, endowment, strength }) => [
      [schedule, rate, endowment, strength].join(" "),
      {
        schedule,
        rate,
        ...(endowment !== undefined && { endowment }),
        ...(strength !== undefined && { strength }),
      },
    ]),
  ).values(),
];

/** Reads the last rung, prints the choices and writes them. */
export async function conclude(out: string, protocol: Protocol, rung: number): Promise<readonly Choice[]> {
  const scores = await scoresOf(out, protocol, rung);
  const choices = [...scores].map(([rule, own]): Choice => {
    const all = ranked(own);
    const constant = all.find(({ config }) => config.schedule === "constant") ?? all[0];
    return {
      rule,
      constant: constant.config,
      scheduled: all[0].config,
      constantAcc: constant.acc,
      scheduledAcc: all[0].acc,
    };
  });
  choices.sort((a, b) => b.scheduledAcc - a.scheduledAcc);
  const show = ({ schedule, rate, endowment, strength = endowment }: Config): string =>
    `${rate}${strength === undefined ? "" : ` / ${strength}`}${schedule === "constant" ? "" : ` ${schedule}`}`;
  printTable(
    ["rule", "best constant rate", "ACC", "best of all schedules", "ACC"],
    choices.map((one) => [
      entrantNamed(one.rule).title,
      show(one.constant),
      one.constantAcc.toFixed(4),
      show(one.scheduled),
      one.scheduledAcc.toFixed(4),
    ]),
  );
  const file = join(out, `${sweepName(protocol)}.json`);
  await writeFile(file, `${JSON.stringify({ protocol, choices, scores: Object.fromEntries(scores) })}\n`);
  console.log(`\nchosen on validation images; see ${file}`);
  return choices;
}

/** Says what is to be done before it begins. */
async function announce(options: SweepOptions): Promise<void> {
  const { protocol, rules, configs, seeds, full, shard, rung } = options;
  const half = { ...protocol, perTask: Math.ceil(protocol.perTask / 2) };
  const works = full ? [0] : [0, 0];
  for (const entrant of rules.map(entrantNamed)) {
    const { strategy } = entrant;
    const grid = gridOf(entrant, full).length;
    const first = full ? grid : Math.min(grid, configs);
    const whole = await trialWork(protocol, { strategy, rows: "ends" });
    works[0] += first * (full ? seeds * whole : await trialWork(half, { strategy, rows: "ends" }));
    if (!full) works[1] += ((Math.ceil(KEEP * first) + 7) / 2) * seeds * whole;
  }
  const own = works.filter((_, index) => rung === undefined || rung === index + 1);
  const tera = (work: number): string => (work / 1e12).toPrecision(2);
  const share = shard === WHOLE ? "" : `, of which this shard does 1/${shard.count}`;
  console.log(
    `${rules.length} rules on ${protocol.stream} (${protocol.data}): about ${tera(own.reduce((a, b) => a + b, 0))} TFLOP ` +
      `(rungs: ${works.map(tera).join(" and ")})${share}\n`,
  );
}
