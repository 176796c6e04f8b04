/** Makes and destroys buffers, and knows which are alive: on a caller's device, `gpu.dispose()` leaves none behind. */
import { OutOfMemoryError } from "./errors.js";
import type { ParkedErrors } from "./parked_errors.js";

/** WebGPU's usage bits; Node has no global `GPUBufferUsage`, and handgrad writes nothing to `globalThis`. */
export const BufferUsage = {
  mapRead: 0x0001,
  mapWrite: 0x0002,
  copySrc: 0x0004,
  copyDst: 0x0008,
  uniform: 0x0040,
  storage: 0x0080,
  queryResolve: 0x0200,
} as const;

export class Allocator {
  private readonly alive = new Set<GPUBuffer>();
  private readonly failed = new WeakSet<GPUBuffer>();
  /** Called when the device had no room: time to give back what is only kept for reuse. */
  onOutOfMemory: () => void = () => {};

  constructor(
    private readonly device: GPUDevice,
    private readonly errors: ParkedErrors,
  ) {}

  /** A new buffer. Whether the device had room for it is known later; if not, an OutOfMemoryError is parked. */
  create(size: number, usage: number): GPUBuffer {
    let buffer: GPUBuffer | undefined;
    buffer = this.errors.guard(
      "out-of-memory",
      () => this.device.createBuffer({ size, usage }),
      (message) => {
        if (buffer) this.failed.add(buffer);
        this.onOutOfMemory();
        return new OutOfMemoryError(
          `the device could not allocate ${size} bytes: ${message}; dispose of tensors or use smaller batches`,
        );
      },
    );
    this.alive.add(buffer);
    return buffer;
  }

  /** Whether the device had no room for the buffer, which then cannot be used. */
  hasFailed(buffer: GPUBuffer): boolean {
    return this.failed.has(buffer);
  }

  /** Whether the buffer was made here and not destroyed yet. */
  owns(buffer: GPUBuffer): boolean {
    return this.alive.has(buffer);
  }

  destroy(buffer: GPUBuffer): void {
    this.alive.delete(buffer);
    buffer.destroy();
  }

  destroyAll(): void {
    for (const buffer of this.alive) buffer.destroy();
    this.alive.clear();
  }
}
