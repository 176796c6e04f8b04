/** A command encoder that opens compute passes as dispatches come and closes them for transfers. */
import { type Allocator, BufferUsage } from "./allocator.js";
import type { PreparedDispatch, Transfer } from "./commands.js";
import type { Profiler } from "./profiler.js";

/** The distance of uniform structs in their buffer: WebGPU's `minUniformBufferOffsetAlignment` is at most this. */
export const SLOT_BYTES = 256;

export class Submission {
  work = 0;
  /** The kernels since the last submit, for the message where the device refuses it. */
  readonly kernels = new Set<string>();
  private encoder?: GPUCommandEncoder;
  private pass?: GPUComputePassEncoder;
  private pipeline?: GPUComputePipeline;

  constructor(
    private readonly device: GPUDevice,
    private readonly profiler?: Profiler,
  ) {}

  dispatch(prepared: PreparedDispatch): void {
    const { pipeline, bindGroup, grid, work } = prepared;
    const compiled = pipeline.compiled as GPUComputePipeline;
    if (this.profiler) this.endPass(); // one timed pass a dispatch
    if (!this.pass) {
      this.encoder ??= this.device.createCommandEncoder();
      this.pass = this.encoder.beginComputePass(this.profiler?.passDescriptor(pipeline.name));
      this.pipeline = undefined;
    }
    if (this.pipeline !== compiled) {
      this.pass.setPipeline(compiled);
      this.pipeline = compiled;
      this.kernels.add(pipeline.name);
    }
    this.pass.setBindGroup(0, bindGroup);
    this.pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
    this.work += work;
  }

  transfer(command: Transfer): void {
    this.endPass();
    this.encoder ??= this.device.createCommandEncoder();
    if (command.kind === "clear") this.encoder.clearBuffer(command.storage.buffer, 0, command.byteLength);
    else if (command.kind === "copy") {
      const { source, target, byteLength, sourceOffset = 0, targetOffset = 0 } = command;
      this.encoder.copyBufferToBuffer(source.buffer, sourceOffset, target.buffer, targetOffset, byteLength);
    } else {
      this.encoder.copyBufferToBuffer(command.source.buffer, 0, command.target, 0, command.byteLength);
    }
  }

  /** False if there was nothing to submit. */
  submit(): boolean {
    this.endPass();
    const { encoder } = this;
    if (!encoder) return false;
    this.encoder = undefined;
    this.work = 0;
    this.device.queue.submit([encoder.finish()]);
    return true;
  }

  private endPass(): void {
    this.pass?.end();
    this.pass = undefined;
  }
}

export function createUniformBuffer(allocator: Allocator, slots: number): GPUBuffer {
  return allocator.create(slots * SLOT_BYTES, BufferUsage.uniform | BufferUsage.copyDst);
}

/** The uniforms of all dispatches that have any, one a slot, in order; undefined if none has. */
export function packSlots(commands: readonly { readonly uniforms?: Uint32Array }[]): Uint32Array | undefined {
  const uniforms = commands.flatMap((command) => command.uniforms ?? []);
  if (uniforms.length === 0) return undefined;
  const words = new Uint32Array((uniforms.length * SLOT_BYTES) / 4);
  uniforms.forEach((values, slot) => {
    words.set(values, (slot * SLOT_BYTES) / 4);
  });
  return words;
}
