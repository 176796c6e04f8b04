import { type Array64, array64 } from "./array64.js";

export type Norm = "linf" | "l2" | "l1";

/** The size of a sample's δ. */
export function normOf(values: ArrayLike<number>, norm: Norm): number {
  const sizes = Array.from(values, Math.abs);
  if (norm === "linf") return sizes.reduce((most, size) => Math.max(most, size), 0);
  if (norm === "l2") return Math.hypot(...sizes);
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** The direction of steepest ascent of one sample. */
export function steepest(
  gradient: Float64Array,
  norm: Norm,
  free: readonly boolean[],
  kept: number,
): Float64Array {
  if (norm === "linf") return gradient.map(Math.sign);
  if (norm === "l2") {
    const size = normOf(gradient, "l2");
    return gradient.map((g) => (size === 0 ? 0 : g / size));
  }
  const slopes = gradient.map((g, i) => (free[i] ? g : 0));
  const order = [...slopes.keys()].sort((a, b) => Math.abs(slopes[b]) - Math.abs(slopes[a])).slice(0, kept);
  const moving = order.filter((i) => slopes[i] !== 0);
  return slopes.map((g, i) => (moving.includes(i) ? Math.sign(g) / moving.length : 0));
}

/**
 * A point of one sample brought to the ball and to 0 ≤ x + z ≤ 1, as attacks do: for l1 the nearest such
 * point.
 */
export function project(
  point: Float64Array,
  x: ArrayLike<number>,
  epsilon: number,
  norm: Norm,
): Float64Array {
  const boxed = (value: number, i: number): number => Math.min(Math.max(value, -x[i]), 1 - x[i]);
  if (norm === "linf") return point.map((v, i) => boxed(Math.min(Math.max(v, -epsilon), epsilon), i));
  if (norm === "l2") {
    const size = normOf(point, "l2");
    return point.map((v, i) => boxed(size > epsilon ? (v * epsilon) / size : v, i));
  }
  const cutBy = (cut: number) => point.map((v, i) => boxed(Math.sign(v) * Math.max(Math.abs(v) - cut, 0), i));
  let [low, high] = [0, normOf(point, "linf")];
  if (normOf(cutBy(0), "l1") <= epsilon) return cutBy(0);
  for (let halving = 0; halving < 60; halving++) {
    const middle = (low + high) / 2;
    if (normOf(cutBy(middle), "l1") <= epsilon) high = middle;
    else low = middle;
  }
  return cutBy(high);
}

/** One step of projected gradient ascent for each sample of x [n, size]. */
export function pgdStep(
  { x, delta, gradient }: { x: Array64; delta: Array64; gradient: Array64 },
  { norm, epsilon, step, kept }: { norm: Norm; epsilon: number; step: number; kept: number },
): Array64 {
  const [count, size] = x.shape;
  const next = array64(x.shape);
  for (let row = 0; row < count; row++) {
    const [pixels, d, g] = [x, delta, gradient].map(({ data }) =>
      data.subarray(row * size, (row + 1) * size),
    );
    const free = Array.from(g, (slope, i) => (slope > 0 ? d[i] < 1 - pixels[i] : d[i] > -pixels[i]));
    const direction = steepest(g, norm, free, kept);
    const moved = d.map((value, i) => value + step * direction[i]);
    next.data.set(project(moved, pixels, epsilon, norm), row * size);
  }
  return next;
}

export type ClassLoss = "crossEntropy" | "margin" | "dlr";

/** What an attack raises, of one row of logits; targeted if there is a target. */
export function classLoss(name: ClassLoss, z: ArrayLike<number>, label: number, target?: number): number {
  const logits = Array.from(z);
  const chosen = target ?? label;
  const rival = Math.max(...logits.filter((_, i) => i !== chosen));
  const up = target === undefined ? 1 : -1;
  if (name === "margin") return up * (rival - logits[chosen]);
  if (name === "crossEntropy") {
    // ln(1 + the others' sum relative to the chosen class), without cancellation on either side.
    const others = logits.reduce((sum, value, i) => sum + (i === chosen ? 0 : Math.exp(value - rival)), 0);
    const ahead = rival - logits[chosen];
    const value =
      ahead > 0 ? ahead + Math.log(others + Math.exp(-ahead)) : Math.log1p(Math.exp(ahead) * others);
    return up * value;
  }
  const sorted = [...logits].sort((a, b) => b - a);
  if (target === undefined) return (rival - logits[label]) / (sorted[0] - sorted[2] + 1e-12);
  return (logits[target] - logits[label]) / (sorted[0] - (sorted[2] + sorted[3]) / 2 + 1e-12);
}

interface Apgd {
  loss(images: Float64Array): number;
  gradient(images: Float64Array): Float64Array;
  x: Float64Array;
  start: Float64Array;
  norm: "linf" | "l2";
  epsilon: number;
  steps: number;
}

/**
 * APGD on one sample, by the paper's algorithm 1: the best loss, its δ, and how often the step was halved.
 */
export function apgd({ loss, gradient, x, start, norm, epsilon, steps }: Apgd) {
  const images = (delta: Float64Array) => delta.map((d, i) => x[i] + d);
  const share = (part: number) => Math.max(Math.floor(part * steps), 1);
  const free = Array.from(x, () => true);
  let delta = project(start, x, epsilon, norm);
  let previous = delta;
  let eta = 2 * epsilon;
  let halvings = 0;
  const losses = [loss(images(delta))];
  let best = { loss: losses[0], delta };
  let checked = { loss: losses[0], halved: false };
  let window = share(0.22);
  let since = 0;
  for (let k = 0; k < steps; k++) {
    const direction = steepest(gradient(images(delta)), norm, free, 0);
    const z = project(
      delta.map((d, i) => d + eta * direction[i]),
      x,
      epsilon,
      norm,
    );
    const alpha = k === 0 ? 1 : 0.75;
    const next = project(
      delta.map((d, i) => d + alpha * (z[i] - d) + (1 - alpha) * (d - previous[i])),
      x,
      epsilon,
      norm,
    );
    previous = delta;
    delta = next;
    losses.push(loss(images(delta)));
    if (losses[k + 1] > best.loss) best = { loss: losses[k + 1], delta };
    if (++since < window) continue;
    let rises = 0;
    for (let j = 0; j < window; j++) if (losses[k + 1 - j] > losses[k - j]) rises++;
    const halved = rises <= 0.75 * window || (!checked.halved && checked.loss >= best.loss);
    checked = { loss: best.loss, halved };
    if (halved) {
      eta /= 2;
      halvings++;
      delta = best.delta;
    }
    window = Math.max(window - share(0.03), share(0.06));
    since = 0;
  }
  return { ...best, halvings };
}
