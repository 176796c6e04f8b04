/**
 * Learning by payments once more, in float64 and with nothing of the library's: a forward pass that keeps what each layer
 * read, and a walk down in which each dense or convolution layer pays by a formula that the caller gives.
 */
import type { LayerRecord } from "../../src/layers/layer.js";
import { type ActivationName, activateGrad } from "./activations.js";
import { type Array64, array64, map, reshape, sizeOf } from "./array64.js";
import { batchNormTrainGrad } from "./batch_norm.js";
import { conv2dBiasGrad, conv2dInputGrad, conv2dWeightGrad } from "./convolution.js";
import { zip } from "./elementwise.js";
import { softmax, softmaxCrossEntropy } from "./losses.js";
import { matmul } from "./matmul.js";
import { forwardNetwork, type State } from "./network.js";
import { averagePool2dGrad, globalAveragePool2dGrad, maxPool2d, maxPool2dGrad } from "./pooling.js";
import { sum } from "./reductions.js";

/** A layer that is about to pay; signals are costs, ∂L/∂z for the chain rule. */
export interface Payer64 {
  name: string;
  /** As the network has it. */
  w: Array64;
  /** What the layer read, and ∂L/∂(its output) or what stands for it. */
  x: Array64;
  signal: Array64;
  /** What its weights are paid. */
  grad: Array64;
  /** signal · Fᵀ, or the transposed convolution with F, for any F of the shape of w; of another signal if given. */
  through(f: Array64, signal?: Array64): Array64;
  /** Whether it is the last layer with weights. */
  top: boolean;
  logits: Array64;
  error: Array64;
}

export interface Learned64 {
  loss: number;
  logits: Array64;
  /** By parameter name. */
  grads: State;
  /** What each layer pays for what it reads, by the layer's name. */
  payments: State;
}

/** The chain rule: through the weights themselves. */
export const chainRule = (payer: Payer64): Array64 => payer.through(payer.w);

/** Gradients of the mean cross-entropy, or what a rule of payments puts in their place; batch statistics. */
export function learn64(
  records: readonly LayerRecord[],
  state: State,
  x: Array64,
  labels: Array64,
  pay: (payer: Payer64) => Array64 = chainRule,
): Learned64 {
  const logits = forwardNetwork(records, state, x, { training: true });
  const { loss, dlogits } = softmaxCrossEntropy(logits, labels);
  const learned: Learned64 = { loss: loss.data[0], logits, grads: {}, payments: {} };
  new Walk(state, pay, dlogits, learned).down(records, x, dlogits, "");
  return learned;
}

class Walk {
  private top = true;

  constructor(
    private readonly state: State,
    private readonly pay: (payer: Payer64) => Array64,
    private readonly error: Array64,
    private readonly learned: Learned64,
  ) {}

  down(records: readonly LayerRecord[], x: Array64, signal: Array64, prefix: string): Array64 {
    // What each layer reads: the forward pass of those before it.
    const inputs = [x];
    for (const [i, record] of records.entries()) {
      inputs.push(
        forwardNetwork([record], this.stateOf(`${prefix}${i}.`), inputs[i], { training: true, prefix: "" }),
      );
    }
    return records.reduceRight(
      (flow, record, i) => this.layer(record, inputs[i], flow, `${prefix}${i}`),
      signal,
    );
  }

  /** A single layer's state under the name that `forwardNetwork` gives it, "0.". */
  private stateOf(prefix: string): State {
    const own = Object.entries(this.state).filter(([name]) => name.startsWith(prefix));
    return Object.fromEntries(own.map(([name, value]) => [`0.${name.slice(prefix.length)}`, value]));
  }

  // biome-ignore lint/suspicious/noExplicitAny: a record's options are those of its kind
  private layer(record: any, x: Array64, signal: Array64, name: string): Array64 {
    const own = (part: string): Array64 => this.state[`${name}.${part}`];
    const { grads } = this.learned as { grads: Record<string, Array64> };
    switch (record.kind) {
      case "dense": {
        const grad = matmul(x, signal, { transposeA: true });
        grads[`${name}.weight`] = grad;
        grads[`${name}.bias`] = sum(signal, { axes: [0] });
        return this.payer(name, x, signal, grad, (f, other = signal) =>
          matmul(other, f, { transposeB: true }),
        );
      }
      case "conv2d": {
        const grad = conv2dWeightGrad(x, signal, { ...record, weightShape: own("weight").shape });
        grads[`${name}.weight`] = grad;
        grads[`${name}.bias`] = conv2dBiasGrad(signal);
        return this.payer(name, x, signal, grad, (f, other = signal) =>
          conv2dInputGrad(other, f, { ...record, inputShape: x.shape }),
        );
      }
      case "batchNorm": {
        const { dx, dgamma, dbeta } = batchNormTrainGrad(x, own("weight"), signal, record);
        grads[`${name}.weight`] = dgamma;
        grads[`${name}.bias`] = dbeta;
        return dx;
      }
      case "activation":
        return activateGrad(x, signal, record.name as ActivationName, { slope: record.slope });
      case "maxPool2d": {
        const { argmax } = maxPool2d(x, { ...record, kernelSize: record.kernel });
        return maxPool2dGrad(signal, argmax, { inputShape: x.shape });
      }
      case "avgPool2d":
        return averagePool2dGrad(signal, { ...record, kernelSize: record.kernel, inputShape: x.shape });
      case "globalAvgPool2d":
        return globalAveragePool2dGrad(signal, { inputShape: x.shape });
      case "flatten":
        return reshape(signal, x.shape);
      case "residual": {
        const body = this.down(record.body, x, signal, `${name}.body.`);
        const skip = record.shortcut ? this.down(record.shortcut, x, signal, `${name}.shortcut.`) : signal;
        return zip(body, skip, (p, q) => p + q);
      }
      default:
        throw new Error(`the reference has no layer ${record.kind}`);
    }
  }

  private payer(
    name: string,
    x: Array64,
    signal: Array64,
    grad: Array64,
    through: Payer64["through"],
  ): Array64 {
    const { logits, payments } = this.learned as Learned64 & { payments: Record<string, Array64> };
    const { top, error } = this;
    this.top = false;
    const w = this.state[`${name}.weight`];
    const payment = this.pay({ name, w, x, signal, grad, through, top, logits, error });
    payments[name] = payment;
    return payment;
  }
}

/** ½ Σ of the squares of all that belongs to one agent: [units, receivers], or channels of [receivers, channels, …]. */
export function attention64(w: Array64, agents = w.shape[w.shape.length === 4 ? 1 : 0]): Float64Array {
  const held = new Float64Array(agents);
  w.data.forEach((value, at) => {
    held[agentOf(at, w.shape, agents)] += 0.5 * value * value;
  });
  return held;
}

/** Who holds element `at` of a layer's weights. */
export function agentOf(at: number, shape: readonly number[], agents: number): number {
  if (shape.length === 4) return Math.floor(at / (shape[2] * shape[3])) % shape[1];
  return Math.floor(at / (sizeOf(shape) / agents));
}

/** Who gives element `at`. */
export function receiverOf(at: number, shape: readonly number[]): number {
  return shape.length === 4 ? Math.floor(at / sizeOf(shape.slice(1))) : at % shape[1];
}

/** Feedback weights of the shares: 2 w (1 - w² / N) / N, N being what the receiver gives in all. */
export function shares64(w: Array64): Array64 {
  const totals: number[] = [];
  w.data.forEach((value, at) => {
    const receiver = receiverOf(at, w.shape);
    totals[receiver] = (totals[receiver] ?? 0) + value * value;
  });
  return map(w, (value, at) => {
    const total = totals[receiverOf(at, w.shape)];
    return (2 * value * (1 - (value * value) / total)) / total;
  });
}

/**
 * What a neuron of the last hidden layer is paid if its receivers answer: its growth of attention h Σ_j w_j g_j(h) / n,
 * with g = onehot - softmax, differenced at h; as a cost.
 */
export function foresight64({ w, x, logits, error }: Payer64): Array64 {
  const [samples, classes] = logits.shape;
  const onehot = map(error, (value, at) => Math.round(softmax(logits).data[at] - samples * value));
  return map(x, (h, at) => {
    const [sample, unit] = [Math.floor(at / x.shape[1]), at % x.shape[1]];
    const own = Array.from({ length: classes }, (_, j) => w.data[unit * classes + j]);
    const growth = (moved: number) => {
      const z = own.map((weight, j) => logits.data[sample * classes + j] + weight * (moved - h));
      const p = softmax(array64([1, classes], z)).data;
      return (
        own.reduce((sum, weight, j) => sum + weight * (onehot.data[sample * classes + j] - p[j]), 0) * moved
      );
    };
    return -(growth(h + 1e-5) - growth(h - 1e-5)) / 2e-5 / samples;
  });
}

/** One network's payments to dense weights, and how they are rated. */
export interface RatedProduct64 {
  /** [samples, units] and [samples, receivers] */
  x: Array64;
  signal: Array64;
  w: Array64;
  counts: "payment" | "square" | "growth";
  /** Each synapse's, as it was. */
  ledger?: { owned: Array64; keep: number; endowment: number; aversion: number };
  /** A receiver's. */
  rates?: Array64;
}

/** Sample by sample: payments at their rate, ledgers after it, and what each sender earned before any rate. */
export function ratedProduct64({ x, signal, w, counts, ledger, rates }: RatedProduct64): {
  payments: Array64;
  owned?: Array64;
  earned: Array64;
} {
  const [units, receivers] = w.shape;
  const raw = array64(w.shape);
  for (let s = 0; s < x.shape[0]; s++) {
    for (let i = 0; i < units; i++) {
      for (let j = 0; j < receivers; j++) {
        raw.data[i * receivers + j] += x.data[s * units + i] * signal.data[s * receivers + j];
      }
    }
  }
  const measure = { payment: Math.abs, square: (p: number) => p * p, growth: (p: number) => p };
  const counted = map(raw, (p, at) => measure[counts](p) * (counts === "growth" ? w.data[at] : 1));
  const earned = sum(counted, { axes: [1] });
  if (!ledger) return { payments: rates ? map(raw, (p, at) => p * rates.data[at % receivers]) : raw, earned };
  const { keep, endowment, aversion } = ledger;
  const owned = zip(ledger.owned, counted, (had, more) => keep * had + Math.abs(more));
  return { payments: zip(raw, owned, (p, own) => p / (endowment + own) ** aversion), owned, earned };
}
