// onnxruntime-web on its WebGPU provider, in browsers: one-node models, written here as ONNX files byte by byte.
import * as ort from "onnxruntime-web/webgpu";

export const name = "onnxruntime-web";
export const version = ort.env.versions?.web ?? "";

export async function open() {
  ort.env.wasm.wasmPaths = new URL("../../bench/node_modules/onnxruntime-web/dist/", import.meta.url).href;
  ort.env.wasm.numThreads = 1;
}

/** Protocol buffers: a varint, a length-prefixed field, and fields in a row. */
const varint = (value) => (value < 128 ? [value] : [(value & 127) | 128, ...varint(Math.floor(value / 128))]);
const bytes = (field, content) => [...varint(field * 8 + 2), ...varint(content.length), ...content];
const text = (field, value) => bytes(field, [...new TextEncoder().encode(value)]);
const integer = (field, value) => [...varint(field * 8), ...varint(value)];

function attribute(label, value) {
  if (Array.isArray(value))
    return bytes(5, [...text(1, label), ...value.flatMap((v) => integer(8, v)), ...integer(20, 7)]);
  return bytes(5, [...text(1, label), ...integer(3, value), ...integer(20, 2)]);
}

function valueInfo(field, label, shape) {
  const dimensions = shape.flatMap((size) => bytes(1, integer(1, size)));
  const tensorType = [...integer(1, 1), ...bytes(2, dimensions)];
  return bytes(field, [...text(1, label), ...bytes(2, bytes(1, tensorType))]);
}

function model(operator, attributes, inputs, output) {
  const node = [...text(1, "a"), ...text(1, "b"), ...text(2, "y"), ...text(4, operator), ...attributes];
  const graph = [
    ...bytes(1, node),
    ...text(2, "bench"),
    ...valueInfo(11, "a", inputs[0].shape),
    ...valueInfo(11, "b", inputs[1].shape),
    ...valueInfo(12, "y", output),
  ];
  return Uint8Array.from([...integer(1, 8), ...bytes(7, graph), ...bytes(8, integer(2, 17))]);
}

export async function prepare(spec, inputs) {
  const file = modelFor(spec, inputs);
  if (!file) return undefined;
  const session = await ort.InferenceSession.create(file, {
    executionProviders: ["webgpu"],
    preferredOutputLocation: "gpu-buffer",
  });
  const feeds = {};
  ["a", "b"].forEach((label, i) => {
    feeds[label] = new ort.Tensor("float32", inputs[i].data, inputs[i].shape);
  });
  const device = ort.env.webgpu.device;
  return {
    run: async () => (await session.run(feeds)).y,
    read: async (y) => {
      const data = Float32Array.from(await y.getData());
      y.dispose();
      return data;
    },
    drop: (y) => y.dispose(),
    wait: async () => (await device).queue.onSubmittedWorkDone(),
    free: () => session.release(),
  };
}

function modelFor({ op, transposeA, transposeB, stride, padding, depthwise }, inputs) {
  const [a, b] = inputs.map(({ shape }) => shape);
  if (op === "matmul" && !transposeA && !transposeB) {
    return model("MatMul", [], inputs, [...a.slice(0, -1), b[b.length - 1]]);
  }
  if (op !== "conv2d") return undefined;
  const length = (size, kernel) => Math.floor((size + 2 * padding - kernel) / stride) + 1;
  const attributes = [
    ...attribute("kernel_shape", [b[2], b[3]]),
    ...attribute("strides", [stride, stride]),
    ...attribute("pads", [padding, padding, padding, padding]),
    ...attribute("group", depthwise ? a[1] : 1),
  ];
  return model("Conv", attributes, inputs, [a[0], b[0], length(a[2], b[2]), length(a[3], b[3])]);
}
