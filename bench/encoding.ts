/** The host's side of a dispatch: the bare WebGPU calls, the same by a replayed program, and what is made meanwhile. */
import type { Gpu, Tensor } from "handgrad";

/** Encodes and submits many dispatches; the device's work is next to nothing. */
export interface Encoding {
  /** Milliseconds of the calling thread. */
  encode(): number;
  dispose(): void;
}

const WGSL = `
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1)
fn main() { y[0] = x[0] + 1.0; }`;

/** What a user would write against WebGPU itself: one pass, three calls a dispatch. */
export async function bareEncoding({ device }: Gpu, x: Tensor, count: number): Promise<Encoding> {
  const module = device.createShaderModule({ code: WGSL });
  const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute: { module } });
  const layout = pipeline.getBindGroupLayout(0);
  const y = device.createBuffer({ size: 1024, usage: 0x80 });
  // As many bind groups as dispatches, as a program has.
  const groups = Array.from({ length: count }, () =>
    device.createBindGroup({
      layout,
      entries: [
        { binding: 0, resource: { buffer: x.buffer } },
        { binding: 1, resource: { buffer: y } },
      ],
    }),
  );
  const encode = (): number => {
    const start = performance.now();
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const group of groups) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(1, 1, 1);
    }
    pass.end();
    device.queue.submit([encoder.finish()]);
    return performance.now() - start;
  };
  return { encode, dispose: () => y.destroy() };
}

export async function replayedEncoding(gpu: Gpu, x: Tensor, count: number): Promise<Encoding> {
  const kernel = gpu.kernel({
    name: "bench_encoding",
    wgsl: WGSL,
    bindings: { x: "read", y: "write" },
    shape: ({ x: shape }) => ({ y: shape }),
    grid: () => [1],
    work: () => 1,
  });
  const program = gpu.program(() => {
    for (let i = 0; i < count; i++) kernel.run({ x }, undefined).y.dispose();
  });
  await gpu.finish();
  const encode = (): number => {
    const start = performance.now();
    program.run();
    gpu.stream.submit();
    return performance.now() - start;
  };
  return { encode, dispose: () => program.dispose() };
}

/** Counts what is made on a device from now on, encoders aside: WebGPU has no command buffer that could be kept. */
export function watchCreations(device: GPUDevice): () => { creations: number } {
  const names = ["createBuffer", "createBindGroup", "createBindGroupLayout", "createShaderModule"] as const;
  const more = ["createComputePipeline", "createComputePipelineAsync", "createPipelineLayout"] as const;
  let creations = 0;
  const target = device as unknown as Record<string, (...args: unknown[]) => unknown>;
  const own = [...names, ...more].map((name) => {
    const method = target[name];
    target[name] = (...args) => {
      creations++;
      return method.apply(device, args);
    };
    return [name, method] as const;
  });
  return () => {
    for (const [name, method] of own) target[name] = method;
    return { creations };
  };
}
