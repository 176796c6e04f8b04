/**
 * GPU buffers with a pool. Commands run in the order in which they were recorded, so a buffer that was released
 * may serve the next recorded op at once: its earlier readers stand before it in the stream. The two things that
 * would run ahead of the stream, uploads and destruction, look at `lastUse` (see stream.ts).
 */
import { type Allocator, BufferUsage } from "./allocator.js";
import { type HandgradError, LimitError, ShapeError } from "./errors.js";

export const STORAGE_USAGE = BufferUsage.storage | BufferUsage.copySrc | BufferUsage.copyDst;
/** Sizes grow by quarters of a power of two: at most 25 % is wasted, and a shape's neighbors share buffers. */
const MINIMUM_CAPACITY = 256;

/** One allocation, referred to by one or more tensors (a reshaped tensor shares its source's). */
export class Storage {
  /** The serial of the last command list in which this storage stands. */
  lastUse = 0;
  references = 1;
  released = false;
  /** Why the values are not what the ops should have made of them; see validity.ts. */
  problem?: HandgradError;

  constructor(
    readonly buffer: GPUBuffer,
    readonly capacity: number,
    /** False for a caller's own buffer, which is neither pooled nor destroyed. */
    readonly owned: boolean,
    /** The program that keeps this storage, or the pool (undefined). */
    readonly owner?: object,
    /** Of its buffer, in the order in which the pool made them. */
    readonly number = 0,
  ) {}
}

export class BufferPool {
  bytesUsed = 0;
  bytesPooled = 0;
  /** How many buffers were ever created: a replayed program must leave it as it is. */
  created = 0;
  /**
   * Released storages by capacity, the capacity that was released last at the end; they keep `lastUse` for the next
   * holder of their buffer. The buffer that was made first goes first: who computes the same again gets the same buffers,
   * in whatever order they were released, and so finds the bind groups that were made for them.
   */
  private readonly free = new Map<number, Storage[]>();
  /** A caller's buffers: one storage each, however many tensors are made of it, so that order and aliasing hold. */
  private readonly adopted = new WeakMap<GPUBuffer, Storage>();

  constructor(
    private readonly limits: GPUSupportedLimits,
    private readonly capBytes: number,
    private readonly allocator: Allocator,
    /** Destroys a buffer once no unsubmitted command refers to it. */
    private readonly destroyLater: (storage: Storage) => void,
  ) {}

  /**
   * A storage of at least `byteLength` bytes, its contents undefined.
   * @param lastUse rather one that was last used by this list or one before it
   * @throws LimitError if the adapter has no buffer or binding of that size
   */
  acquire(byteLength: number, owner?: object, lastUse = Infinity): Storage {
    const capacity = this.capacityFor(byteLength);
    const storages = this.free.get(capacity) ?? [];
    const at = storages.findLastIndex((storage) => storage.lastUse <= lastUse);
    const pooled = at < 0 ? storages.pop() : storages.splice(at, 1)[0];
    if (pooled) this.bytesPooled -= capacity;
    const buffer = pooled?.buffer ?? this.create(capacity);
    const storage = new Storage(buffer, capacity, true, owner, pooled?.number ?? this.created);
    storage.lastUse = pooled?.lastUse ?? 0;
    this.bytesUsed += capacity;
    return storage;
  }

  /** The storage of a caller's buffer. @throws ShapeError for a buffer of the pool; LimitError */
  adopt(buffer: GPUBuffer): Storage {
    if (this.allocator.owns(buffer)) {
      throw new ShapeError(
        "fromBuffer: the buffer belongs to a tensor of this gpu, which may reuse it; use that tensor's reshape()",
      );
    }
    const known = this.adopted.get(buffer);
    if (known && !known.released) {
      known.references++;
      return known;
    }
    const storage = new Storage(buffer, buffer.size, false);
    storage.lastUse = known?.lastUse ?? 0;
    this.adopted.set(buffer, storage);
    return storage;
  }

  /** The capacity of the buffer that holds so many bytes. @throws LimitError */
  capacityFor(byteLength: number): number {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.limits;
    const limit = Math.min(maxBufferSize, maxStorageBufferBindingSize);
    if (!(byteLength <= limit)) {
      throw new LimitError(
        `a tensor of ${byteLength} bytes is larger than this adapter can bind (${limit} bytes); ` +
          `split it, for instance into smaller batches`,
      );
    }
    return Math.min(roundedUp(byteLength), limit);
  }

  private create(capacity: number): GPUBuffer {
    this.created++;
    return this.allocator.create(capacity, STORAGE_USAGE);
  }

  /** Gives a storage back. Beyond the pool's cap, buffers of the capacities not released for longest are destroyed. */
  release(storage: Storage): void {
    if (storage.released) return;
    storage.released = true;
    if (!storage.owned) return;
    const { capacity } = storage;
    this.bytesUsed -= capacity;
    if (capacity > this.capBytes || this.allocator.hasFailed(storage.buffer)) {
      this.destroyLater(storage);
      return;
    }
    const storages = this.free.get(capacity) ?? [];
    this.free.delete(capacity);
    this.free.set(capacity, storages);
    insertByNumber(storages, storage);
    this.bytesPooled += capacity;
    this.evict();
  }

  private evict(): void {
    for (const [capacity, storages] of this.free) {
      while (this.bytesPooled > this.capBytes && storages.length > 0) {
        this.bytesPooled -= capacity;
        this.destroyLater(storages.shift() as Storage);
      }
      if (this.bytesPooled <= this.capBytes) return;
      this.free.delete(capacity);
    }
  }

  /** Destroys all pooled buffers. */
  clear(): void {
    for (const storages of this.free.values()) for (const storage of storages) this.destroyLater(storage);
    this.free.clear();
    this.bytesPooled = 0;
  }
}

/** Into a list that ends with the lowest number. */
function insertByNumber(storages: Storage[], storage: Storage): void {
  let [low, high] = [0, storages.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (storages[middle].number > storage.number) low = middle + 1;
    else high = middle;
  }
  storages.splice(low, 0, storage);
}

function roundedUp(byteLength: number): number {
  const size = Math.max(byteLength, MINIMUM_CAPACITY);
  const quarter = 2 ** Math.floor(Math.log2(size)) / 4;
  return Math.ceil(size / quarter) * quarter;
}
