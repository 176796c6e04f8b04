/** Whole training steps, written as a user of handgrad writes them: every backward step by hand, Adam in place. */
import {
  adam,
  advance,
  conv2d,
  conv2dBiasGrad,
  conv2dInputGrad,
  conv2dWeightGrad,
  copy,
  type Gpu,
  matmul,
  reluGrad,
  softmaxCrossEntropy,
  sum,
  type Tensor,
  zeros,
} from "handgrad";

import { perturb, pgd } from "handgrad/attacks";
import { activation, buildModel, conv2d as conv2dLayer, dense, flatten } from "handgrad/layers";

const LEARNING_RATE = 1e-3;

/** Adam's state for a list of parameters; the returned function takes their gradients. */
function optimizer(gpu: Gpu, parameters: readonly Tensor[]): (gradients: readonly Tensor[]) => void {
  const step = zeros(gpu, [1], { dtype: "u32" });
  const states = parameters.map(({ shape }) => ({
    first: zeros(gpu, shape),
    second: zeros(gpu, shape),
    step,
  }));
  return (gradients) => {
    advance(step);
    parameters.forEach((parameter, i) => {
      adam(parameter, gradients[i], { ...states[i], learningRate: LEARNING_RATE });
    });
  };
}

/** 784-256-256-10 with ReLU. */
export function mlpStep(gpu: Gpu, [x, labels, ...parameters]: readonly Tensor[]): () => Tensor {
  const [w1, b1, w2, b2, w3, b3] = parameters;
  const update = optimizer(gpu, parameters);
  return () =>
    gpu.scope(() => {
      const h1 = matmul(x, w1, { bias: b1, activation: "relu" });
      const h2 = matmul(h1, w2, { bias: b2, activation: "relu" });
      const { loss, dlogits } = softmaxCrossEntropy(matmul(h2, w3, { bias: b3 }), labels);
      const dh2 = reluGrad(matmul(dlogits, w3, { transposeB: true }), h2);
      const dh1 = reluGrad(matmul(dh2, w2, { transposeB: true }), h1);
      const weightGrad = (input: Tensor, dy: Tensor): Tensor => matmul(input, dy, { transposeA: true });
      const biasGrad = (dy: Tensor): Tensor => sum(dy, { axes: [0] });
      update([
        weightGrad(x, dh1),
        biasGrad(dh1),
        weightGrad(h1, dh2),
        biasGrad(dh2),
        weightGrad(h2, dlogits),
        biasGrad(dlogits),
      ]);
      return loss;
    });
}

/** Two 3×3 convolutions with stride 2 (16 and 32 channels, ReLU) and a dense layer. */
export function cnnStep(gpu: Gpu, [x, labels, ...parameters]: readonly Tensor[]): () => Tensor {
  const [w1, b1, w2, b2, w3, b3] = parameters;
  const update = optimizer(gpu, parameters);
  const window = { stride: 2, padding: 1 };
  return () =>
    gpu.scope(() => {
      const h1 = conv2d(x, w1, { ...window, bias: b1, activation: "relu" });
      const h2 = conv2d(h1, w2, { ...window, bias: b2, activation: "relu" });
      const flat = h2.reshape([h2.shape[0], -1]);
      const { loss, dlogits } = softmaxCrossEntropy(matmul(flat, w3, { bias: b3 }), labels);
      const dh2 = reluGrad(matmul(dlogits, w3, { transposeB: true }).reshape(h2.shape), h2);
      const dh1 = reluGrad(conv2dInputGrad(dh2, w2, { ...window, inputShape: h1.shape }), h1);
      update([
        conv2dWeightGrad(x, dh1, { ...window, weightShape: w1.shape }),
        conv2dBiasGrad(dh1),
        conv2dWeightGrad(h1, dh2, { ...window, weightShape: w2.shape }),
        conv2dBiasGrad(dh2),
        matmul(flat, dlogits, { transposeA: true }),
        sum(dlogits, { axes: [0] }),
      ]);
      return loss;
    });
}

/** One step of PGD in the maximum norm: along the sign, back into the ball around x0, back into 0 … 1. */
const stepWgsl = `
struct Params { epsilon: f32, step_size: f32, }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> x0: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&x)) { return; }
  let moved = x[id.x] + params.step_size * sign(gradient[id.x]);
  let near = clamp(moved, x0[id.x] - params.epsilon, x0[id.x] + params.epsilon);
  y[id.x] = clamp(near, 0.0, 1.0);
}`;

/** PGD on the CNN of `cnnStep`: all iterations recorded, nothing read back between them. */
export function pgdLoop(
  gpu: Gpu,
  [x0, labels, ...parameters]: readonly Tensor[],
  { epsilon, stepSize, steps }: { epsilon: number; stepSize: number; steps: number },
): () => Tensor {
  const [w1, b1, w2, b2, w3, b3] = parameters;
  const window = { stride: 2, padding: 1 };
  const move = gpu.kernel({
    name: "bench_pgd_step",
    wgsl: stepWgsl,
    bindings: { x: "read", gradient: "read", x0: "read", y: "write" },
    shape: ({ x }) => ({ y: x }),
    uniforms: () => ({ epsilon, step_size: stepSize }),
    grid: ({ y }) => [Math.ceil((y[0] * y[1] * y[2] * y[3]) / 64)],
  });
  return () =>
    gpu.scope(() => {
      let x = x0;
      for (let step = 0; step < steps; step++) {
        const h1 = conv2d(x, w1, { ...window, bias: b1, activation: "relu" });
        const h2 = conv2d(h1, w2, { ...window, bias: b2, activation: "relu" });
        const { dlogits } = softmaxCrossEntropy(
          matmul(h2.reshape([h2.shape[0], -1]), w3, { bias: b3 }),
          labels,
        );
        const dh2 = reluGrad(matmul(dlogits, w3, { transposeB: true }).reshape(h2.shape), h2);
        const dh1 = reluGrad(conv2dInputGrad(dh2, w2, { ...window, inputShape: h1.shape }), h1);
        const gradient = conv2dInputGrad(dh1, w1, { ...window, inputShape: x.shape });
        x = move.run({ x, gradient, x0 }, undefined).y;
      }
      return x;
    });
}

/** The attack of the library on the extractor of the detectors, as a user calls it: layers, `perturb`, `pgd`. */
export function extractorAttack(
  gpu: Gpu,
  [x, labels, ...parameters]: readonly Tensor[],
  { epsilon, stepSize, steps }: { epsilon: number; stepSize: number; steps: number },
): () => Tensor {
  const window = { stride: 2, padding: 1 };
  const model = buildModel(gpu, [
    conv2dLayer(1, 16, 4, window),
    activation("relu"),
    conv2dLayer(16, 32, 4, window),
    activation("relu"),
    flatten(),
    dense(1568, 128),
    activation("relu"),
    dense(128, 10),
  ]);
  for (const [i, own] of Object.values(model.parameters).entries()) copy(parameters[i], { out: own });
  const how = pgd({ epsilon, stepSize, steps, randomStart: false, keep: "last" });
  return () => gpu.scope(() => perturb(model, { x, labels }, how).images);
}
