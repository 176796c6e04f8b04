/** Debug mode: every op's f32 result is scanned on the device, and the first op that made a NaN is named. */
import wgsl from "../../shaders/non_finite_scan.wgsl";
import { BufferUsage } from "./allocator.js";
import { Storage } from "./buffers.js";
import { ValueError } from "./errors.js";
import type { Gpu } from "./gpu.js";
import { gridFor, type View } from "./kernel.js";
import type { PipelineSource } from "./pipelines.js";
import { readInterface } from "./wgsl_interface.js";

const NOTHING = 0xffffffff;
const source: PipelineSource = {
  name: "non_finite_scan",
  wgsl,
  interface: readInterface("non_finite_scan", wgsl),
};

export class NonFiniteScan {
  private readonly found: Storage;
  /** What was scanned, by the serial that the kernel writes. */
  private readonly names: string[] = [];
  private readonly serials = new Map<string, number>();

  constructor(private readonly gpu: Gpu) {
    const usage = BufferUsage.storage | BufferUsage.copySrc | BufferUsage.copyDst;
    this.found = new Storage(gpu.allocator.create(4, usage), 4, true, this);
    this.reset();
  }

  /** Records a scan of `view`, the output of a kernel. */
  record(kernel: string, output: string, view: View): void {
    if (view.dtype !== "f32" || view.byteLength === 0) return;
    const count = view.byteLength / 4;
    const serial = this.serialOf(`"${output}" of ${kernel}, shape [${view.shape}]`);
    const [x, y = 1, z = 1] = gridFor(count, 64, this.gpu.limits);
    this.gpu.record({
      kind: "dispatch",
      pipeline: this.gpu.pipelines.get(source, {}),
      bound: [
        {
          storage: view.storage as Storage,
          binding: 0,
          byteLength: view.byteLength,
          reads: true,
          writes: false,
        },
        { storage: this.found, binding: 1, byteLength: 4, reads: true, writes: true },
      ],
      uniformBinding: 2,
      uniforms: Uint32Array.of(count, serial, 0, 0),
      grid: [x, y, z],
      work: count,
    });
  }

  private serialOf(name: string): number {
    const serial = this.serials.get(name) ?? this.names.push(name) - 1;
    this.serials.set(name, serial);
    return serial;
  }

  /** @throws ValueError naming the first op whose result was not finite since the last call */
  async throwIfFound(): Promise<void> {
    const { device, allocator } = this.gpu;
    const target = allocator.create(4, BufferUsage.mapRead | BufferUsage.copyDst);
    let serial = NOTHING;
    try {
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(this.found.buffer, 0, target, 0, 4);
      device.queue.submit([encoder.finish()]);
      await target.mapAsync(1);
      [serial] = new Uint32Array(target.getMappedRange().slice(0));
    } finally {
      allocator.destroy(target);
    }
    if (serial === NOTHING) return;
    this.reset();
    throw new ValueError(`debug: NaN or infinity in ${this.names[serial]}; look at what went into that op`);
  }

  private reset(): void {
    this.gpu.device.queue.writeBuffer(this.found.buffer, 0, Uint32Array.of(NOTHING));
  }
}
