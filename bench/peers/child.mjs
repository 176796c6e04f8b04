// One peer library in a process of its own, driven by messages: it alone defines the globals that peers want.
//   node child.mjs PEER.mjs ADAPTER_BUNDLE.mjs      (the adapter's name in HANDGRAD_ADAPTER)
import { pathToFileURL } from "node:url";

const [peerFile, adapterFile] = process.argv.slice(2);
const { findNodeAdapter, webgpuGlobals } = await import(pathToFileURL(adapterFile).href);

Object.assign(globalThis, await webgpuGlobals());
const gpu = {
  requestAdapter: async () => (await findNodeAdapter()).adapter,
  getPreferredCanvasFormat: () => "bgra8unorm",
};
Object.defineProperty(globalThis, "navigator", { value: { gpu, userAgent: "node" }, configurable: true });

let device;
const adapterPrototype = Object.getPrototypeOf((await findNodeAdapter()).adapter);
const { requestDevice } = adapterPrototype;
let errors = 0;
let firstError = "";
adapterPrototype.requestDevice = async function (descriptor) {
  device = await requestDevice.call(this, descriptor);
  device.addEventListener?.("uncapturederror", ({ error }) => {
    if (errors++ === 0) firstError = error.message;
  });
  return device;
};

const peer = await import(pathToFileURL(peerFile).href);
/** As the bench's own clock: a software adapter computes in this process' threads, so its work is processor time. */
const processorTime = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const clock = process.env.HANDGRAD_BENCH_CLOCK === "cpu" ? processorTime : () => performance.now();

let current;
let finished = Promise.resolve();

const methods = {
  async open() {
    await peer.open();
    return { name: peer.name, version: peer.version };
  },
  /** The result of the first run, or undefined where the peer has no such op. */
  async prepare({ spec, inputs }) {
    current?.free();
    current = peer.prepare(spec, inputs);
    if (!current) return undefined;
    return current.read(current.run());
  },
  /** The result of another run: the second step's loss tells whether the first one's update was right. */
  async again() {
    return current.read(current.run());
  },
  /** Milliseconds for `count` runs, waited for once. */
  async time({ count }) {
    const before = errors;
    const start = clock();
    for (let i = 0; i < count; i++) current.drop(current.run());
    await current.wait();
    const milliseconds = clock() - start;
    if (errors > before) throw new Error(`the device refused commands: ${firstError}`);
    return milliseconds;
  },
};

process.on("message", ({ id, method, argument }) => {
  finished = finished.then(async () => {
    try {
      process.send({ id, result: await methods[method](argument) });
    } catch (error) {
      process.send({ id, error: String(error?.message ?? error).slice(0, 300) });
    }
  });
});
process.on("disconnect", () => process.exit(0));
process.send({ ready: true });
