/** Scopes: who made which tensor, and what is released when a body ends. */
import { ProgramError } from "./errors.js";

/** Something that a scope releases: a tensor. */
export interface Trackable {
  dispose(): void;
}

interface Scope {
  readonly created: Set<Trackable>;
  readonly kind: "scope" | "program";
}

export class Scopes {
  liveTensors = 0;
  private open: Scope[] = [];

  /**
   * Runs `body` and disposes of what was made in it, but for what it returns, which then belongs to the scope around.
   * @param onResults gets the tensors that live on, also when the body fails (none then)
   * @throws ProgramError if the body returns a promise
   */
  run<T>(kind: Scope["kind"], body: () => T, onResults?: (results: Trackable[]) => void): T {
    const scope: Scope = { created: new Set(), kind };
    this.open.push(scope);
    let kept: Set<unknown> = new Set();
    let result: T;
    try {
      result = body();
      if (isThenable(result)) {
        result.then(undefined, () => {}); // What it rejects with comes of being in here, and is told by this error.
        throw new ProgramError(
          `gpu.${kind}: the body returned a promise; it must be synchronous, read results after it`,
        );
      }
      kept = collect(result);
    } finally {
      for (const tensor of scope.created) if (!kept.has(tensor)) tensor.dispose();
      this.open.pop();
      onResults?.([...scope.created]);
      for (const tensor of scope.created) this.innermost?.created.add(tensor);
    }
    return result;
  }

  /** Runs `body` as if no scope were open. */
  outside(body: () => void): void {
    const { open } = this;
    this.open = [];
    try {
      body();
    } finally {
      this.open = open;
    }
  }

  /** Counts a tensor and hands it to the innermost scope. */
  track(tensor: Trackable): void {
    this.liveTensors++;
    this.innermost?.created.add(tensor);
  }

  /** Forgets a tensor. @throws ProgramError if it was made outside the innermost scope or program body */
  untrack(tensor: Trackable): void {
    const scope = this.innermost;
    if (scope && !scope.created.delete(tensor)) {
      throw new ProgramError(
        `dispose: the tensor was made outside this ${scope.kind} body; dispose of it after the body`,
      );
    }
    this.liveTensors--;
  }

  /** @throws ProgramError inside a scope or program body */
  forbid(deed: string, advice: string): void {
    const scope = this.innermost;
    if (scope) throw new ProgramError(`${deed} inside a ${scope.kind} body is not taken; ${advice}`);
  }

  private get innermost(): Scope | undefined {
    return this.open[this.open.length - 1];
  }
}

/** All objects reachable from a body's result through arrays, maps and plain records. */
function collect(value: unknown, found: Set<unknown> = new Set()): Set<unknown> {
  if (typeof value !== "object" || value === null || found.has(value)) return found;
  found.add(value);
  if (Array.isArray(value) || value instanceof Map || value instanceof Set) {
    for (const item of value instanceof Map ? value.values() : value) collect(item, found);
  } else if (Object.getPrototypeOf(value) === Object.prototype || Object.getPrototypeOf(value) === null) {
    for (const item of Object.values(value)) collect(item, found);
  }
  return found;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}
