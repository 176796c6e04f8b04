/**
 * Bind groups of dispatches that are not a program's. Making one takes several times as long as encoding its dispatch,
 * and who computes the same again, with buffers out of the pool, mostly gets the same buffers at the same places.
 */
import type { Dispatch } from "./commands.js";

/** The bind groups that are kept, those that were used last. */
const MOST = 1024;

export class BindGroups {
  /** By pipeline and resources; in order of their last use. */
  private readonly known = new Map<string, GPUBindGroup>();
  private readonly numbers = new WeakMap<object, number>();
  private objects = 0;

  constructor(private readonly device: GPUDevice) {}

  /** That of a dispatch whose uniforms stand at `offset` of `uniformBuffer`, made or found. */
  of(command: Dispatch, uniformBuffer: GPUBuffer | undefined, offset: number): GPUBindGroup {
    // A caller's own buffer may be left to the garbage collector, which nothing here is to keep from it.
    if (command.bound.some(({ storage }) => !storage.owned))
      return makeBindGroup(this.device, command, uniformBuffer, offset);
    const key = this.keyOf(command, uniformBuffer, offset);
    const found = this.known.get(key);
    if (found) this.known.delete(key);
    const group = found ?? makeBindGroup(this.device, command, uniformBuffer, offset);
    this.known.set(key, group);
    if (this.known.size > MOST) this.known.delete(this.known.keys().next().value as string);
    return group;
  }

  /** Forgets them, so that nothing holds on to what they bind. */
  clear(): void {
    this.known.clear();
  }

  private keyOf(
    { pipeline, bound, uniforms }: Dispatch,
    uniformBuffer: GPUBuffer | undefined,
    offset: number,
  ) {
    let key = `${this.numberOf(pipeline)}`;
    for (const { storage, binding, byteLength } of bound)
      key += ` ${binding}:${this.numberOf(storage.buffer)}:${byteLength}`;
    if (uniforms) key += ` ${this.numberOf(uniformBuffer as GPUBuffer)}:${offset}:${uniforms.byteLength}`;
    return key;
  }

  private numberOf(object: object): number {
    const known = this.numbers.get(object);
    if (known !== undefined) return known;
    this.numbers.set(object, ++this.objects);
    return this.objects;
  }
}

/** Makes the bind group of a dispatch whose uniforms stand at `offset` of `uniformBuffer`. */
export function makeBindGroup(
  device: GPUDevice,
  { pipeline, bound, uniforms, uniformBinding }: Dispatch,
  uniformBuffer: GPUBuffer | undefined,
  offset: number,
): GPUBindGroup {
  const entries: GPUBindGroupEntry[] = bound.map(({ storage, binding, byteLength }) => ({
    binding,
    resource: { buffer: storage.buffer, size: byteLength },
  }));
  if (uniforms) {
    const resource = { buffer: uniformBuffer as GPUBuffer, offset, size: uniforms.byteLength };
    entries.push({ binding: uniformBinding, resource });
  }
  return device.createBindGroup({ layout: pipeline.layout, entries, label: pipeline.name });
}
