// TensorFlow.js on its WebGPU backend, as its users write it: NHWC images, HWIO weights, gradients by tf.variableGrads.
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-core/dist/register_all_gradients.js";
import "@tensorflow/tfjs-backend-webgpu";

export const name = "tfjs-webgpu";
export const version = tf.version_core;

export async function open() {
  await tf.setBackend("webgpu");
  await tf.ready();
}

/** Waits for all that was enqueued, without reading anything back. */
async function wait() {
  const backend = tf.backend();
  backend.endComputePassEncoder();
  if (backend.commandEncoder) backend.submitQueue();
  await backend.queue.onSubmittedWorkDone();
}

const upload = ({ shape, data }) =>
  tf.tensor(
    data instanceof Uint32Array ? Int32Array.from(data) : data,
    [...shape],
    data instanceof Uint32Array ? "int32" : "float32",
  );

const moved = (x, order) => {
  const result = tf.transpose(x, order);
  x.dispose();
  return result;
};
const image = (input) => moved(upload(input), [0, 2, 3, 1]);
/** OIHW to HWIO; depthwise [channels, 1, h, w] to [h, w, channels, 1]. */
const weight = (input, depthwise) => moved(upload(input), depthwise ? [2, 3, 0, 1] : [2, 3, 1, 0]);

async function read(tensor) {
  const data = await tensor.data();
  tensor.dispose();
  return Float32Array.from(data);
}
const readImage = (y) => read(moved(y, [0, 3, 1, 2]));
const readWeight = (w, depthwise) => read(moved(w, depthwise ? [2, 3, 0, 1] : [3, 2, 0, 1]));

/** What runs an op once, reads a result, and waits; undefined where tfjs has no such op. */
export function prepare(spec, inputs) {
  const make = makers[spec.op];
  return make && { wait, drop: (y) => y.dispose(), ...make(spec, inputs) };
}

const makers = {
  matmul({ transposeA, transposeB }, inputs) {
    const [a, b] = inputs.map(upload);
    return { run: () => tf.matMul(a, b, transposeA, transposeB), read, free: () => tf.dispose([a, b]) };
  },
  conv2d({ stride, padding, depthwise }, inputs) {
    const [x, w] = [image(inputs[0]), weight(inputs[1], depthwise)];
    const run = depthwise
      ? () => tf.depthwiseConv2d(x, w, stride, padding, "NHWC", 1, "floor")
      : () => tf.conv2d(x, w, stride, padding, "NHWC", 1, "floor");
    return { run, read: readImage, free: () => tf.dispose([x, w]) };
  },
  conv2dInputGrad({ stride, padding, depthwise, inputShape }, inputs) {
    const [dy, filter] = [image(inputs[0]), weight(inputs[1], depthwise)];
    const [n, c, h, w] = inputShape;
    const attributes = {
      strides: stride,
      pad: padding,
      dataFormat: "NHWC",
      dimRoundingMode: "floor",
      dilations: 1,
      inputShape: [n, h, w, c],
    };
    const kernel = depthwise ? "DepthwiseConv2dNativeBackpropInput" : "Conv2DBackpropInput";
    const run = () => tf.engine().runKernel(kernel, { dy, filter }, attributes);
    return { run, read: readImage, free: () => tf.dispose([dy, filter]) };
  },
  conv2dWeightGrad({ stride, padding, depthwise, weightShape }, inputs) {
    const [x, dy] = inputs.map(image);
    const [o, i, h, w] = weightShape;
    const filterShape = depthwise ? [h, w, o, 1] : [h, w, i, o];
    const attributes = {
      strides: stride,
      pad: padding,
      dataFormat: "NHWC",
      dimRoundingMode: "floor",
      dilations: 1,
      filterShape,
    };
    const kernel = depthwise ? "DepthwiseConv2dNativeBackpropFilter" : "Conv2DBackpropFilter";
    const run = () => tf.engine().runKernel(kernel, { x, dy }, attributes);
    return { run, read: (y) => readWeight(y, depthwise), free: () => tf.dispose([x, dy]) };
  },
  sum({ axes }, inputs) {
    const x = upload(inputs[0]);
    return { run: () => tf.sum(x, axes), read, free: () => x.dispose() };
  },
  softmaxCrossEntropy(_spec, inputs) {
    const [logits, labels] = inputs.map(upload);
    const targets = tf.oneHot(labels, logits.shape[1]);
    const gradient = tf.grad((z) => tf.losses.softmaxCrossEntropy(targets, z));
    return { run: () => gradient(logits), read, free: () => tf.dispose([logits, labels, targets]) };
  },
  batchNorm(_spec, inputs) {
    const x = image(inputs[0]);
    const [gamma, beta] = inputs.slice(1).map(upload);
    const run = () =>
      tf.tidy(() => {
        const { mean, variance } = tf.moments(x, [0, 1, 2]);
        return tf.batchNorm(x, mean, variance, beta, gamma, 1e-5);
      });
    return { run, read: readImage, free: () => tf.dispose([x, gamma, beta]) };
  },
  adam({ learningRate }, inputs) {
    const variable = tf.variable(upload(inputs[0]));
    const gradient = upload(inputs[1]);
    const optimizer = tf.train.adam(learningRate, 0.9, 0.999, 1e-8);
    const run = () => {
      optimizer.applyGradients({ [variable.name]: gradient });
      return tf.scalar(0);
    };
    const result = async (y) => {
      y.dispose();
      return Float32Array.from(await variable.data());
    };
    return { run, read: result, free: () => tf.dispose([variable, gradient]) };
  },
  mlpStep: ({ learningRate }, inputs) =>
    training(inputs, learningRate, upload, (x, [w1, b1, w2, b2, w3, b3]) => {
      const h1 = tf.relu(tf.add(tf.matMul(x, w1), b1));
      const h2 = tf.relu(tf.add(tf.matMul(h1, w2), b2));
      return tf.add(tf.matMul(h2, w3), b3);
    }),
  cnnStep: ({ learningRate }, inputs) => training(inputs, learningRate, image, cnn),
  pgd({ epsilon, stepSize, steps }, inputs) {
    const x0 = image(inputs[0]);
    const labels = upload(inputs[1]);
    const targets = tf.oneHot(labels, 10);
    const parameters = inputs.slice(2).map(parameter);
    const gradient = tf.grad((x) => tf.losses.softmaxCrossEntropy(targets, cnn(x, parameters)));
    const run = () => {
      let x = x0.clone();
      for (let step = 0; step < steps; step++) {
        const previous = x;
        x = tf.tidy(() => {
          const moved = tf.add(previous, tf.mul(tf.sign(gradient(previous)), stepSize));
          return tf.clipByValue(
            tf.minimum(tf.maximum(moved, tf.sub(x0, epsilon)), tf.add(x0, epsilon)),
            0,
            1,
          );
        });
        previous.dispose();
      }
      return x;
    };
    return { run, read: readImage, free: () => tf.dispose([x0, labels, targets, ...parameters]) };
  },
};

const parameter = (input) => (input.shape.length === 4 ? weight(input, false) : upload(input));

/** Two convolutions, then dense layers with ReLU between. */
function cnn(x, [w1, b1, w2, b2, ...rest]) {
  const h1 = tf.relu(tf.add(tf.conv2d(x, w1, 2, 1, "NHWC", 1, "floor"), b1));
  const h2 = tf.relu(tf.add(tf.conv2d(h1, w2, 2, 1, "NHWC", 1, "floor"), b2));
  // The dense layer's rows follow NCHW.
  const flat = tf.reshape(tf.transpose(h2, [0, 3, 1, 2]), [x.shape[0], -1]);
  let y = flat;
  for (let i = 0; i < rest.length; i += 2) {
    y = tf.add(tf.matMul(i > 0 ? tf.relu(y) : y, rest[i]), rest[i + 1]);
  }
  return y;
}

function training(inputs, learningRate, uploadInput, network) {
  const x = uploadInput(inputs[0]);
  const labels = upload(inputs[1]);
  const targets = tf.oneHot(labels, 10);
  const variables = inputs.slice(2).map((input) => tf.variable(parameter(input)));
  const optimizer = tf.train.adam(learningRate, 0.9, 0.999, 1e-8);
  const loss = () => tf.losses.softmaxCrossEntropy(targets, network(x, variables));
  return {
    run: () => optimizer.minimize(loss, true, variables),
    read,
    free: () => tf.dispose([x, labels, targets, ...variables]),
  };
}
