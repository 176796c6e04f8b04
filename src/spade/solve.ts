/** From Hessians to sparse networks. */
import { ShapeError, ValueError } from "../gpu/errors.js";
import { Conv2d } from "../layers/conv2d.js";
import type { Dense } from "../layers/dense.js";
import { MaskedConv2d, MaskedDense } from "../layers/masked.js";
import type { Sequential } from "../layers/sequential.js";
import { broadcastTo } from "../ops/elementwise.js";
import { concat } from "../ops/movement.js";
import { type Calibration, rowsOf, type SampleBatch } from "./calibrate.js";
import { beginFactors, costsIn, type LayerProblem, largestFirst, type Solved } from "./layer_problem.js";
import { rebuild } from "./network.js";
import type { SolveOptions } from "./options.js";
import { checkSolveOptions, needsFactors, ratioOf, solveLayers } from "./solve_layers.js";
import { type SampleFacts, SparseTrace, type StageSeconds, type Trace } from "./trace.js";

/**
 * The traces of a calibration's samples, in their order; may be called many times with other solvers and ratios.
 * @throws ValueError for a ratio outside 0 to 1, an option out of range, or a layer that was not calibrated
 * @example
 * const traces = await solve(calibration, { solver: "magnitude", ratios: { "4": 0.5, "8": 0.9 } });
 */
export async function solve(calibration: Calibration, options: SolveOptions): Promise<Trace[]> {
  checkSolveOptions(options, calibration.layers, calibration.count);
  const traces: Trace[] = [];
  try {
    for (const batch of calibration.batches) traces.push(...(await solveBatch(calibration, batch, options)));
  } catch (error) {
    for (const trace of traces) trace.dispose();
    throw error;
  }
  return traces;
}

async function solveBatch(
  calibration: Calibration,
  batch: SampleBatch,
  options: SolveOptions,
): Promise<Trace[]> {
  const wanted = [...batch.problems.values()].filter(({ name }) => ratioOf(options, name) > 0);
  const start = performance.now();
  let factored = start;
  const inOrder = largestFirst(wanted);
  if (needsFactors(options)) beginFactors(inOrder);
  const solved = new Map<string, Solved>();
  // Random draws of a layer come from a stream of its own.
  const streamOf = ({ name }: LayerProblem): number => calibration.layers.indexOf(name);
  for (const group of groupsToSolve(inOrder)) {
    if (needsFactors(options)) await Promise.all(group.map((problem) => problem.factors()));
    factored = performance.now();
    for (const one of await solveLayers(group, options, streamOf)) solved.set(one.problem.name, one);
    await group[0].h.gpu.flush();
  }
  const networks: Sequential[] = [];
  try {
    for (let index = 0; index < batch.count; index++)
      networks.push(networkOf(calibration.model, batch.problems, solved, index));
    const facts = await measure(calibration, batch, solved, networks);
    const seconds = secondsOf(calibration, { start, factored, end: performance.now() });
    return networks.map((network, index) => {
      const { target } = options;
      const wish = typeof target === "number" ? target : target?.[batch.first + index];
      return new SparseTrace(network, facts[index], wish, seconds);
    });
  } catch (error) {
    for (const network of networks) network.dispose();
    throw error;
  }
}

/**
 * Layers that the device factors together are solved together. Of the others, which the CPU factors but for one that is the
 * device's alone, first one, then two, then four: while some are solved the CPU is at the next ones.
 */
function groupsToSolve(problems: readonly LayerProblem[]): LayerProblem[][] {
  const groups: LayerProblem[][] = [];
  const left = new Set(problems);
  let most = 1;
  for (const problem of problems) {
    if (!left.has(problem)) continue;
    const others = [...left].filter(({ factoredWith }) => factoredWith.length === 1);
    const isAlone = problem.factoredWith.length === 1;
    const group = isAlone ? others.slice(0, most) : problem.factoredWith.filter((other) => left.has(other));
    if (isAlone) most *= 2;
    for (const member of group) left.delete(member);
    groups.push(group);
  }
  return groups;
}

/** Nothing is counted twice: a solve that begins before the device is done with the Hessians counts from then on. */
function secondsOf(
  { times: { augment, hessian, end: summed } }: Calibration,
  times: { readonly start: number; readonly factored: number; readonly end: number },
): StageSeconds {
  const start = Math.max(times.start, summed);
  const factor = Math.max(0, times.factored - start) / 1000;
  const solve = (times.end - start) / 1000 - factor;
  return { augment, hessian, factor, solve, total: augment + hessian + factor + solve };
}

/** The network with a sample's weights in its masked layers. */
function networkOf(
  model: Sequential,
  problems: ReadonlyMap<string, LayerProblem>,
  solved: ReadonlyMap<string, Solved>,
  sample: number,
): Sequential {
  return rebuild(model, (name, layer) => {
    const problem = problems.get(name);
    const solution = solved.get(name);
    if (!problem || !solution) return undefined;
    const weight = problem.weightOf(solution.weights, sample);
    const mask = problem.weightOf(solution.mask, sample);
    return layer instanceof Conv2d
      ? MaskedConv2d.of(layer, weight, mask)
      : MaskedDense.of(layer as Dense, weight, mask);
  });
}

/** What the traces tell of themselves, all read back behind each other. */
async function measure(
  { samples }: Calibration,
  { first, count, dense, problems }: SampleBatch,
  solved: ReadonlyMap<string, Solved>,
  networks: readonly Sequential[],
): Promise<SampleFacts[]> {
  const { gpu } = samples;
  const layers = [...problems.keys()].flatMap((name) => solved.get(name) ?? []);
  const traced = gpu.scope(() => {
    const logits = networks.map((network, index) => network.forward(rowsOf(samples, first + index, 1)).y);
    return logits.length === 1 ? logits[0] : concat(logits, 0);
  });
  try {
    const [denseLogits, traceLogits, ...costs] = await Promise.all(
      [dense, traced, ...layers.map((layer) => layer.costs)].map(
        (result) => result.data() as Promise<Float32Array>,
      ),
    );
    const classes = denseLogits.length / count;
    return Array.from({ length: count }, (_, index) => ({
      dense: denseLogits.subarray(index * classes, (index + 1) * classes),
      trace: traceLogits.subarray(index * classes, (index + 1) * classes),
      layers: layers.map(({ problem: { name, weights }, damping }, layer) => {
        return { name, weights, ...costsIn(costs[layer], count, index), damping: damping[index] };
      }),
    }));
  } finally {
    traced.dispose();
  }
}

/**
 * ‖(W̃ - W) X‖² / ‖W X‖² by layer name of a trace on another calibration, say of held-out augmentations.
 * @param index the sample of the calibration; default 0
 * @throws ValueError for a sample that is not there; ShapeError for a trace of another network
 * @example
 * const heldOut = await calibrate(model, sample, { seed: 99 });
 * const errors = await reconstructionErrors(heldOut, trace);
 */
export async function reconstructionErrors(
  calibration: Calibration,
  trace: Trace,
  index = 0,
): Promise<Record<string, number>> {
  const batch = calibration.batches.find(({ first, count }) => index >= first && index < first + count);
  if (!batch)
    throw new ValueError(
      `reconstructionErrors: sample ${index} is not among the ${calibration.count} calibrated ones`,
    );
  const names = Object.keys(trace.masks).filter((name) => batch.problems.has(name));
  const result: Record<string, number> = {};
  for (const name of names) {
    const problem = batch.problems.get(name) as LayerProblem;
    const weight = trace.model.parameters[`${name}.weight`];
    if (weight?.size !== problem.weights)
      throw new ShapeError(
        `reconstructionErrors: layer "${name}" of the trace has not the calibrated network's weights`,
      );
    const costs = weight.gpu.scope(() =>
      problem.costsOf(broadcastTo(problem.columnsOf(weight), problem.dense.shape)),
    );
    const { energy, error } = costsIn((await costs.data()) as Float32Array, batch.count, index - batch.first);
    costs.dispose();
    result[name] = energy > 0 ? error / energy : 0;
  }
  return result;
}
