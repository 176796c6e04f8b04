/** Debug mode: every op's f32 result is scanned on the device, and the first op that made a NaN is named. */
import wgsl from "../../shaders/non_finite_scan.wgsl";
import { BufferUsage, type Storage } from "./buffers.js";
import { ValueError } from "./errors.js";
import type { Gpu } from "./gpu.js";
import { gridFor, type View } from "./kernel.js";
import type { PipelineSource } from "./pipelines.js";
import { readInterface } from "./wgsl.js";

const NOTHING = 0xffffffff;
const source: PipelineSource = {
  name: "non_finite_scan",
  wgsl,
  interface: readInterface("non_finite_scan", wgsl),
};

export class NonFiniteScan {
  private readonly found: Storage;
  private readonly names: string[] = [];

  constructor(private readonly gpu: Gpu) {
    this.found = gpu.pool.acquire(4, this);
    this.reset();
  }

  /** Records a scan of `view`, the output of a kernel. */
  record(kernel: string, output: string, view: View): void {
    if (view.dtype !== "f32" || view.byteLength === 0) return;
    const count = view.byteLength / 4;
    const serial = this.names.push(`"${output}" of ${kernel}, shape [${view.shape}]`) - 1;
    const [x, y = 1, z = 1] = gridFor(count, 64, this.gpu.limits);
    this.gpu.record({
      kind: "dispatch",
      pipeline: this.gpu.pipelines.get(source, {}),
      bound: [
        { storage: view.storage as Storage, binding: 0, byteLength: view.byteLength },
        { storage: this.found, binding: 1, byteLength: 4 },
      ],
      uniformBinding: 2,
      uniforms: Uint32Array.of(count, serial, 0, 0),
      grid: [x, y, z],
      work: count,
    });
  }

  /** @throws ValueError naming the first op whose result was not finite since the last call */
  async throwIfFound(): Promise<void> {
    const { device } = this.gpu;
    const target = device.createBuffer({ size: 4, usage: BufferUsage.mapRead | BufferUsage.copyDst });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.found.buffer, 0, target, 0, 4);
    device.queue.submit([encoder.finish()]);
    await target.mapAsync(1);
    const [serial] = new Uint32Array(target.getMappedRange().slice(0));
    target.destroy();
    if (serial === NOTHING) return;
    this.reset();
    throw new ValueError(`debug: NaN or infinity in ${this.names[serial]}; look at what went into that op`);
  }

  private reset(): void {
    this.gpu.device.queue.writeBuffer(this.found.buffer, 0, Uint32Array.of(NOTHING));
  }
}
