// jax-js on WebGPU, as its users write it: jit where there is one, gradients by grad and vjp. Arrays are consumed by
// use; `.ref` keeps one for another use.
import {
  blockUntilReady,
  defaultDevice,
  init,
  jit,
  lax,
  nn,
  numpy as np,
  valueAndGrad,
  grad,
  tree,
} from "@jax-js/jax";

export const name = "jax-js";
export const version = "0.1.25";

export async function open() {
  const devices = await init("webgpu");
  if (!devices.includes("webgpu")) throw new Error("jax-js found no WebGPU device");
  defaultDevice("webgpu");
}

const upload = ({ shape, data }) => {
  const integers = data instanceof Uint32Array;
  return np
    .array(integers ? Int32Array.from(data) : data, {
      shape: [...shape],
      dtype: integers ? np.int32 : np.float32,
    })
    .reshape([...shape]);
};

async function read(y) {
  return Float32Array.from(await y.data());
}

/** What runs an op once, reads a result, and waits; undefined where jax-js has no such op. */
export function prepare(spec, inputs) {
  const make = makers[spec.op];
  if (!make) return undefined;
  // jax-js is lazy: what is disposed of before somebody waited for it is never computed. Joined to the result before
  // it, which needs no kernel, each result is computed when the last one is waited for.
  const join = jit((y, before) => {
    before.dispose();
    return y;
  });
  let last;
  const made = make(spec, inputs);
  return {
    read,
    drop: (y) => {
      last = last ? join(y, last) : y;
    },
    wait: async () => {
      if (last) await blockUntilReady(last);
      last?.dispose();
      last = undefined;
    },
    ...made,
  };
}

const call = (f, inputs) => {
  const arrays = inputs.map(upload);
  return { run: () => f(...arrays.map((x) => x.ref)), free: () => tree.dispose(arrays) };
};

const convolution =
  ({ stride, padding, depthwise }, channels) =>
  (x, w) =>
    lax.convGeneralDilated(
      x,
      w,
      [stride, stride],
      [
        [padding, padding],
        [padding, padding],
      ],
      {
        featureGroupCount: depthwise ? channels : 1,
      },
    );

const makers = {
  matmul({ transposeA, transposeB }, inputs) {
    const swap = (x) => np.swapaxes(x, -1, -2);
    return call(
      jit((a, b) => np.matmul(transposeA ? swap(a) : a, transposeB ? swap(b) : b)),
      inputs,
    );
  },
  conv2d: (spec, inputs) => call(jit(convolution(spec, inputs[0].shape[1])), inputs),
  conv2dInputGrad(spec, inputs) {
    const conv = convolution(spec, spec.inputShape[1]);
    // A convolution is linear: its gradient needs no values of x.
    const f = jit((dy, w) => grad((x) => np.sum(conv(x, w).mul(dy)))(np.zeros(spec.inputShape)));
    return call(f, inputs);
  },
  conv2dWeightGrad(spec, inputs) {
    const conv = convolution(spec, inputs[0].shape[1]);
    return call(
      jit((x, dy) => grad((w) => np.sum(conv(x, w).mul(dy)))(np.zeros(spec.weightShape))),
      inputs,
    );
  },
  sum: ({ axes }, inputs) =>
    call(
      jit((x) => np.sum(x, axes)),
      inputs,
    ),
  softmaxCrossEntropy(_spec, inputs) {
    const classes = inputs[0].shape[1];
    return call(
      jit((z, labels) => grad((logits) => crossEntropy(logits, nn.oneHot(labels, classes)))(z)),
      inputs,
    );
  },
  mlpStep: (spec, inputs) =>
    training(spec, inputs, (x, [w1, b1, w2, b2, w3, b3]) => {
      const h1 = nn.relu(np.matmul(x, w1).add(b1));
      const h2 = nn.relu(np.matmul(h1, w2).add(b2));
      return np.matmul(h2, w3).add(b3);
    }),
  cnnStep: (spec, inputs) => training(spec, inputs, cnn),
  pgd({ epsilon, stepSize, steps }, inputs) {
    const arrays = inputs.map(upload);
    const step = jit((x, x0, labels, ...parameters) => {
      const loss = (input) => crossEntropy(cnn(input, parameters), nn.oneHot(labels, 10));
      const moved = x.ref.add(np.sign(grad(loss)(x)).mul(stepSize));
      const near = np.minimum(np.maximum(moved, x0.ref.sub(epsilon)), x0.add(epsilon));
      return np.clip(near, 0, 1);
    });
    const run = () => {
      let x = arrays[0].ref;
      for (let i = 0; i < steps; i++) x = step(x, ...arrays.map((array) => array.ref));
      return x;
    };
    return { run, free: () => tree.dispose(arrays) };
  },
};

function crossEntropy(logits, targets) {
  const samples = logits.shape[0];
  return np.sum(nn.logSoftmax(logits).mul(targets)).mul(-1 / samples);
}

/** Two convolutions, then dense layers with ReLU between. */
function cnn(x, [w1, b1, w2, b2, ...rest]) {
  const samples = x.shape[0];
  const pad = [
    [1, 1],
    [1, 1],
  ];
  const h1 = nn.relu(lax.convGeneralDilated(x, w1, [2, 2], pad).add(b1.reshape([1, -1, 1, 1])));
  const h2 = nn.relu(lax.convGeneralDilated(h1, w2, [2, 2], pad).add(b2.reshape([1, -1, 1, 1])));
  let y = h2.reshape([samples, -1]);
  for (let i = 0; i < rest.length; i += 2) {
    y = np.matmul(i > 0 ? nn.relu(y) : y, rest[i]).add(rest[i + 1]);
  }
  return y;
}

/** A whole step, Adam included, under one jit. */
function training({ learningRate }, inputs, network) {
  const [x, labels, ...initial] = inputs.map(upload);
  const zerosLike = (list) => list.map((p) => np.zeros(p.shape));
  let state = { parameters: initial, first: zerosLike(initial), second: zerosLike(initial) };
  let t = 0;
  const step = jit(({ parameters, first, second }, input, classes, correction1, correction2) => {
    const loss = (p) => crossEntropy(network(input, p), nn.oneHot(classes, 10));
    const [value, gradients] = valueAndGrad(loss)(parameters.map((p) => p.ref));
    const m = first.map((mean, i) => mean.mul(0.9).add(gradients[i].ref.mul(0.1)));
    const v = second.map((variance, i) =>
      variance.mul(0.999).add(gradients[i].ref.mul(gradients[i]).mul(0.001)),
    );
    const next = parameters.map((p, i) => {
      const direction = m[i].ref.mul(correction1.ref).div(np.sqrt(v[i].ref.mul(correction2.ref)).add(1e-8));
      return p.sub(direction.mul(learningRate));
    });
    correction1.dispose();
    correction2.dispose();
    return [value, { parameters: next, first: m, second: v }];
  });
  const run = () => {
    t++;
    const [value, next] = step(
      state,
      x.ref,
      labels.ref,
      np.array(1 / (1 - 0.9 ** t)),
      np.array(1 / (1 - 0.999 ** t)),
    );
    state = next;
    return value;
  };
  return { run, free: () => tree.dispose([state, x, labels]) };
}
