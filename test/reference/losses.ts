import { type Array64, alongAxis, array64, map } from "./array64.js";

/** How the losses of samples become one: their mean (the default), their sum, or not at all ([n] losses). */
export type Reduction = "mean" | "sum" | "none";

/** The line's log-softmax. The largest logit is taken out first, so that no exponential overflows. */
function logSoftmaxOfLine(line: number[]): number[] {
  const largest = line.reduce((a, b) => Math.max(a, b));
  const logSum = Math.log(line.reduce((sum, v) => sum + Math.exp(v - largest), 0));
  return line.map((v) => v - largest - logSum);
}

export function logSoftmax(x: Array64, { axis = -1 } = {}): Array64 {
  return alongAxis([x], axis, logSoftmaxOfLine);
}

export function softmax(x: Array64, { axis = -1 } = {}): Array64 {
  return map(logSoftmax(x, { axis }), Math.exp);
}

/** dx = y · (dy - Σ dy·y) along the axis, with y the softmax. */
export function softmaxGrad(y: Array64, dy: Array64, { axis = -1 } = {}): Array64 {
  return alongAxis([y, dy], axis, (yLine, dyLine) => {
    const mean = yLine.reduce((sum, v, i) => sum + v * dyLine[i], 0);
    return yLine.map((v, i) => v * (dyLine[i] - mean));
  });
}

/** dx = dy - exp(y) · Σ dy along the axis, with y the log-softmax. */
export function logSoftmaxGrad(y: Array64, dy: Array64, { axis = -1 } = {}): Array64 {
  return alongAxis([y, dy], axis, (yLine, dyLine) => {
    const total = dyLine.reduce((sum, v) => sum + v, 0);
    return yLine.map((v, i) => dyLine[i] - Math.exp(v) * total);
  });
}

function reduceLosses(losses: number[], reduction: Reduction): { loss: Array64; weight: number } {
  if (reduction === "none") return { loss: array64([losses.length], losses), weight: 1 };
  const weight = reduction === "mean" ? 1 / losses.length : 1;
  return { loss: array64([], [losses.reduce((sum, v) => sum + v, 0) * weight]), weight };
}

/** Cross-entropy of logits [n, classes] with labels [n] (class numbers), and its gradient (softmax - onehot)·weight. */
export function softmaxCrossEntropy(
  logits: Array64,
  labels: Array64,
  { reduction = "mean" }: { reduction?: Reduction } = {},
): { loss: Array64; dlogits: Array64 } {
  const [samples, classes] = logits.shape;
  const logProbability = logSoftmax(logits);
  const losses: number[] = [];
  for (let n = 0; n < samples; n++) losses.push(-logProbability.data[n * classes + labels.data[n]]);
  const { loss, weight } = reduceLosses(losses, reduction);
  const dlogits = map(logProbability, (v, i) => {
    const target = labels.data[Math.floor(i / classes)] === i % classes ? 1 : 0;
    return (Math.exp(v) - target) * weight;
  });
  return { loss, dlogits };
}

/**
 * Binary cross-entropy of logits with targets in 0..1, element by element:
 * log(1 + e^z) - t·z = max(z, 0) + log(1 + e^-|z|) - t·z. With reduction "none" the loss is a flat list.
 */
export function bceWithLogits(
  logits: Array64,
  targets: Array64,
  { reduction = "mean" }: { reduction?: Reduction } = {},
): { loss: Array64; dlogits: Array64 } {
  const losses = Array.from(
    logits.data,
    (z, i) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) - targets.data[i] * z,
  );
  const { loss, weight } = reduceLosses(losses, reduction);
  const dlogits = map(logits, (z, i) => (1 / (1 + Math.exp(-z)) - targets.data[i]) * weight);
  return { loss: reduction === "none" ? { ...loss, shape: [...logits.shape] } : loss, dlogits };
}
