/**
 * Attributions by their definitions, in float64 and neuron by neuron: every linear layer of a small network
 * is written out as a matrix (what it answers to each unit vector), and rules are sums over its entries.
 */
import type { LayerRecord } from "../../src/layers/layer.js";
import { type ActivationName, activate, activateGrad } from "./activations.js";
import { type Array64, array64, sizeOf } from "./array64.js";
import { forwardNetwork, type State } from "./network.js";

interface Linear {
  readonly kind: "linear";
  /** "dense", "conv2d", … or "own" for what has no weights to learn. */
  readonly of: string;
  /** [outputs][inputs] */
  readonly matrix: Float64Array[];
  readonly bias: Float64Array;
}

interface Activation {
  readonly kind: "activation";
  readonly name: ActivationName;
  readonly slope?: number;
}

interface Max {
  readonly kind: "max";
  /** The inputs of each output's window. */
  readonly windows: number[][];
}

interface Fork {
  readonly kind: "fork";
  readonly body: Unit[];
  readonly shortcut: Unit[];
}

export type Unit = Linear | Activation | Max | Fork;

const HAS_WEIGHTS = ["dense", "conv2d", "convTranspose2d"];

/** A network as units on flat vectors; batch norm behind a layer with weights is merged with it. */
export function unroll(
  records: readonly LayerRecord[],
  state: State,
  shape: readonly number[],
  prefix = "",
): { units: Unit[]; shape: readonly number[] } {
  const units: Unit[] = [];
  let size: readonly number[] = shape;
  for (let index = 0; index < records.length; index++) {
    // biome-ignore lint/suspicious/noExplicitAny: a record's options are those of its kind
    const record = records[index] as any;
    const path = `${prefix}${index}.`;
    if (record.kind === "activation")
      units.push({ kind: "activation", name: record.name, slope: record.slope });
    else if (record.kind === "flatten") size = [sizeOf(size)];
    else if (record.kind === "residual") {
      const body = unroll(record.body, state, size, `${path}body.`);
      const shortcut = record.shortcut ? unroll(record.shortcut, state, size, `${path}shortcut.`).units : [];
      units.push({ kind: "fork", body: body.units, shortcut });
      size = body.shape;
    } else if (record.kind === "maxPool2d") {
      const [channels, height, width] = size;
      const [k, stride] = [record.kernel, record.stride ?? record.kernel];
      const [rows, columns] = [height, width].map((side) => Math.floor((side - k) / stride) + 1);
      const windows: number[][] = [];
      for (let c = 0; c < channels; c++)
        for (let y = 0; y < rows; y++)
          for (let x = 0; x < columns; x++) {
            const inputs: number[] = [];
            for (let i = 0; i < k; i++)
              for (let j = 0; j < k; j++) inputs.push((c * height + y * stride + i) * width + x * stride + j);
            windows.push(inputs);
          }
      units.push({ kind: "max", windows });
      size = [channels, rows, columns];
    } else {
      const merged = HAS_WEIGHTS.includes(record.kind) && records[index + 1]?.kind === "batchNorm";
      const part = records.slice(index, index + (merged ? 2 : 1));
      const count = sizeOf(size);
      const unit = array64([count + 1, ...size]);
      for (let i = 0; i < count; i++) unit.data[i * count + i] = 1;
      // Renamed so that the part starts at its place in the state.
      const names = Object.entries(state).flatMap(([name, value]) =>
        part.flatMap((_, offset) => {
          const start = `${prefix}${index + offset}.`;
          return name.startsWith(start) ? [[`${offset}.${name.slice(start.length)}`, value] as const] : [];
        }),
      );
      const answers = forwardNetwork(part, Object.fromEntries(names), unit);
      const outputs = answers.data.length / (count + 1);
      const bias = Float64Array.from(answers.data.slice(count * outputs));
      const matrix = Array.from({ length: outputs }, (_, j) =>
        Float64Array.from({ length: count }, (_, i) => answers.data[i * outputs + j] - bias[j]),
      );
      units.push({
        kind: "linear",
        of: HAS_WEIGHTS.includes(record.kind) ? record.kind : "own",
        matrix,
        bias,
      });
      size = answers.shape.slice(1);
      if (merged) index++;
    }
  }
  return { units, shape: size };
}

/** What each unit was given and gave. */
interface Passed {
  readonly unit: Unit;
  readonly x: Float64Array;
  readonly y: Float64Array;
  readonly body?: Passed[];
  readonly shortcut?: Passed[];
}

export function pass(units: readonly Unit[], input: ArrayLike<number>): Passed[] {
  let x: Float64Array = Float64Array.from(input);
  return units.map((unit) => {
    const passed = passOne(unit, x);
    x = passed.y;
    return passed;
  });
}

export const outputOf = (passed: readonly Passed[]): Float64Array => passed[passed.length - 1].y;

function passOne(unit: Unit, x: Float64Array): Passed {
  switch (unit.kind) {
    case "linear":
      return {
        unit,
        x,
        y: Float64Array.from(unit.matrix, (row, j) =>
          row.reduce((sum, w, i) => sum + w * x[i], unit.bias[j]),
        ),
      };
    case "activation":
      return { unit, x, y: Float64Array.from(activate(asArray(x), unit.name, unit).data) };
    case "max":
      return {
        unit,
        x,
        y: Float64Array.from(unit.windows, (window) => Math.max(...window.map((i) => x[i]))),
      };
    case "fork": {
      const body = pass(unit.body, x);
      const shortcut = pass(unit.shortcut, x);
      const skip = shortcut.length > 0 ? outputOf(shortcut) : x;
      return { unit, x, y: outputOf(body).map((value, i) => value + skip[i]), body, shortcut };
    }
  }
}

const asArray = (values: Float64Array): Array64 => array64([values.length], values);

/** How a unit hands on what arrives; undefined: by its gradient. */
export type Rule = (passed: Passed, flow: Float64Array) => Float64Array | undefined;
export type ForkRule = (
  body: Float64Array,
  skip: Float64Array,
  flow: Float64Array,
) => [Float64Array, Float64Array];

export function back(
  passed: readonly Passed[],
  flow: Float64Array,
  rule: Rule = () => undefined,
  fork: ForkRule = (_body, _skip, arriving) => [arriving, arriving],
): Float64Array {
  return passed.reduceRight((arriving, one) => {
    if (one.unit.kind === "fork") {
      const { body = [], shortcut = [], x } = one;
      const skip = shortcut.length > 0 ? outputOf(shortcut) : x;
      const [toBody, toSkip] = fork(outputOf(body), skip, arriving);
      const below = back(body, toBody, rule, fork);
      const beside = back(shortcut, toSkip, rule, fork);
      return below.map((value, i) => value + beside[i]);
    }
    return rule(one, arriving) ?? gradientOf(one, arriving);
  }, flow);
}

export function gradientOf({ unit, x }: Passed, flow: Float64Array): Float64Array {
  const dx = new Float64Array(x.length);
  if (unit.kind === "linear")
    unit.matrix.forEach((row, j) => {
      row.forEach((w, i) => {
        dx[i] += w * flow[j];
      });
    });
  else if (unit.kind === "activation")
    return Float64Array.from(activateGrad(asArray(x), asArray(flow), unit.name, unit).data);
  else if (unit.kind === "max")
    unit.windows.forEach((window, j) => {
      dx[winner(window, x)] += flow[j];
    });
  return dx;
}

export function winner(window: readonly number[], x: Float64Array): number {
  return window.reduce((best, i) => (x[i] > x[best] ? i : best), window[0]);
}

const isRectifier = ({ unit }: Passed): boolean =>
  unit.kind === "activation" && (unit.name === "relu" || unit.name === "leakyRelu");

export const guidedRule: Rule = (passed, flow) =>
  isRectifier(passed)
    ? gradientOf(
        passed,
        flow.map((value) => Math.max(value, 0)),
      )
    : undefined;

export const deconvolutionRule: Rule = (passed, flow) =>
  isRectifier(passed) ? flow.map((value) => Math.max(value, 0)) : undefined;

const stabilized = (z: number, epsilon: number): number => z + (z < 0 ? -epsilon : epsilon);

/**
 * R_i = Σ_j c_ij R_j / Σ_i c_ij, with c_ij = plain x_i w_ij + positive max(x_i w_ij, 0), the bias
 * among the inputs.
 */
export function lrpRules(sharesOf: (kind: string) => { plain: number; positive: number; epsilon: number }): {
  rule: Rule;
  fork: ForkRule;
} {
  const share = (value: number, { plain, positive }: { plain: number; positive: number }): number =>
    plain * value + positive * Math.max(value, 0);
  return {
    rule: ({ unit, x }, flow) => {
      if (unit.kind === "activation") return flow;
      if (unit.kind !== "linear") return undefined;
      const shares =
        unit.of === "own" ? { plain: 1, positive: 0, epsilon: sharesOf("own").epsilon } : sharesOf(unit.of);
      const received = new Float64Array(x.length);
      unit.matrix.forEach((row, j) => {
        const parts = row.map((w, i) => share(w * x[i], shares));
        const total = parts.reduce((sum, part) => sum + part, share(unit.bias[j], shares));
        parts.forEach((part, i) => {
          received[i] += (part * flow[j]) / stabilized(total, shares.epsilon);
        });
      });
      return received;
    },
    fork: (body, skip, flow) => {
      const shares = sharesOf("fork");
      const part = (given: Float64Array, i: number): number => share(given[i], shares);
      const of = (given: Float64Array) =>
        flow.map(
          (value, i) => (value * part(given, i)) / stabilized(part(body, i) + part(skip, i), shares.epsilon),
        );
      return [of(body), of(skip)];
    },
  };
}

/** DeepLift's multipliers: both passes side by side. */
export function deepLiftMultipliers(
  passed: readonly Passed[],
  reference: readonly Passed[],
  flow: Float64Array,
): Float64Array {
  let multipliers = flow;
  for (let at = passed.length - 1; at >= 0; at--) {
    const [one, other] = [passed[at], reference[at]];
    const arriving = multipliers;
    if (one.unit.kind === "fork") {
      const below = deepLiftMultipliers(one.body ?? [], other.body ?? [], arriving);
      const beside = deepLiftMultipliers(one.shortcut ?? [], other.shortcut ?? [], arriving);
      multipliers = below.map((value, i) => value + beside[i]);
    } else if (one.unit.kind === "linear") multipliers = gradientOf(one, arriving);
    else {
      const gradient = gradientOf(one, arriving);
      const flowed = new Float64Array(one.x.length);
      if (one.unit.kind === "activation")
        one.y.forEach((value, i) => {
          flowed[i] = arriving[i] * (value - other.y[i]);
        });
      else
        one.unit.windows.forEach((window, j) => {
          const larger = Math.max(one.y[j], other.y[j]);
          flowed[winner(window, one.x)] += arriving[j] * (larger - other.y[j]);
          flowed[winner(window, other.x)] += arriving[j] * (one.y[j] - larger);
        });
      multipliers = flowed.map((value, i) => {
        const change = one.x[i] - other.x[i];
        return Math.abs(change) < 1e-6 * Math.max(1, Math.abs(one.x[i])) ? gradient[i] : value / change;
      });
    }
  }
  return multipliers;
}
