/**
 * GPU buffers with a pool. Commands run in the order in which they were recorded, so a buffer that was released
 * may serve the next recorded op at once: its earlier readers stand before it in the stream. The two things that
 * would run ahead of the stream, uploads and destruction, look at `lastUse` (see stream.ts).
 */
import { LimitError, OutOfMemoryError } from "./errors.js";

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

const STORAGE_USAGE = BufferUsage.storage | BufferUsage.copySrc | BufferUsage.copyDst;
/** Sizes grow by quarters of a power of two: at most 25 % is wasted, and a shape's neighbors share buffers. */
const MINIMUM_CAPACITY = 256;

/** One allocation, referred to by one or more tensors (a reshaped tensor shares its source's). */
export class Storage {
  /** The serial of the last command list in which this storage stands. */
  lastUse = 0;
  references = 1;
  released = false;

  constructor(
    readonly buffer: GPUBuffer,
    readonly capacity: number,
    /** False for a caller's own buffer, which is neither pooled nor destroyed. */
    readonly owned: boolean,
    /** The program that keeps this storage, or the pool (undefined). */
    readonly owner?: object,
  ) {}
}

export class BufferPool {
  bytesUsed = 0;
  bytesPooled = 0;
  /** How many buffers were ever created: a replayed program must leave it as it is. */
  created = 0;
  /** Released storages by capacity; they keep `lastUse` for the next holder of their buffer. */
  private readonly free = new Map<number, Storage[]>();

  constructor(
    private readonly device: GPUDevice,
    private readonly capBytes: number,
    private readonly onError: (error: Error) => void,
    /** Destroys a buffer once no unsubmitted command refers to it. */
    private readonly destroyLater: (storage: Storage) => void,
  ) {}

  /**
   * A storage of at least `byteLength` bytes, its contents undefined.
   * @throws LimitError if the adapter has no buffer or binding of that size
   */
  acquire(byteLength: number, owner?: object): Storage {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.device.limits;
    const limit = Math.min(maxBufferSize, maxStorageBufferBindingSize);
    if (byteLength > limit) {
      throw new LimitError(
        `a tensor of ${byteLength} bytes is larger than this adapter can bind (${limit} bytes); ` +
          `split it, for instance into smaller batches`,
      );
    }
    const capacity = Math.min(capacityFor(byteLength), limit);
    const pooled = this.free.get(capacity)?.pop();
    if (pooled) this.bytesPooled -= capacity;
    const storage = new Storage(pooled?.buffer ?? this.create(capacity), capacity, true, owner);
    storage.lastUse = pooled?.lastUse ?? 0;
    this.bytesUsed += capacity;
    return storage;
  }

  private create(capacity: number): GPUBuffer {
    this.created++;
    this.device.pushErrorScope("out-of-memory");
    const buffer = this.device.createBuffer({ size: capacity, usage: STORAGE_USAGE });
    this.device.popErrorScope().then(
      (error) => {
        if (!error) return;
        this.onError(
          new OutOfMemoryError(
            `the device could not allocate ${capacity} bytes (${this.bytesUsed} in use, ${this.bytesPooled} pooled): ` +
              `${error.message}; dispose of tensors or use smaller batches`,
          ),
        );
      },
      () => {}, // The device was lost: that is reported by its own path.
    );
    return buffer;
  }

  /** Gives a storage back; beyond the pool's cap the buffer is destroyed instead. */
  release(storage: Storage): void {
    if (storage.released) return;
    storage.released = true;
    if (!storage.owned) return;
    this.bytesUsed -= storage.capacity;
    if (this.bytesPooled + storage.capacity > this.capBytes) {
      this.destroyLater(storage);
      return;
    }
    this.bytesPooled += storage.capacity;
    const storages = this.free.get(storage.capacity);
    if (storages) storages.push(storage);
    else this.free.set(storage.capacity, [storage]);
  }

  /** Destroys all pooled buffers. */
  clear(): void {
    for (const storages of this.free.values()) for (const storage of storages) this.destroyLater(storage);
    this.free.clear();
    this.bytesPooled = 0;
  }
}

/** The capacity of the buffer that holds so many bytes. */
export function capacityFor(byteLength: number): number {
  const size = Math.max(byteLength, MINIMUM_CAPACITY);
  const quarter = 2 ** Math.floor(Math.log2(size)) / 4;
  return Math.ceil(size / quarter) * quarter;
}
