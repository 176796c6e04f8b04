/**
 * The device reports errors after the calls that made them. The first is parked, with a count of those behind it,
 * and thrown at the next read-back; error scopes tell whose call it was, also on a device that others use too.
 */
import { HandgradError } from "./errors.js";

/** Someone who waits for results. Every error parked meanwhile may concern them, whoever else is told of it. */
export interface Waiter {
  error?: HandgradError;
}

export class ParkedErrors {
  private parked?: { error: HandgradError; count: number };
  private readonly waiters = new Set<Waiter>();
  /** Error scopes that the device has not answered yet. */
  private readonly checks = new Set<Promise<void>>();

  constructor(private readonly device: GPUDevice) {}

  /** Keeps the first error for the next `throwParked`, and tells all who wait. */
  park(error: unknown): HandgradError {
    const known = error instanceof HandgradError ? error : new HandgradError(String(error), { cause: error });
    for (const waiter of this.waiters) waiter.error ??= known;
    if (this.parked) this.parked.count++;
    else this.parked = { error: known, count: 1 };
    return known;
  }

  /** Throws the first parked error, or the one that `waiter` was told of, and forgets what is parked. */
  throwParked(waiter?: Waiter): void {
    const { parked } = this;
    this.parked = undefined;
    if (parked) throw withCount(parked.error, parked.count - 1);
    if (waiter?.error) throw waiter.error;
  }

  /** From now on `park` tells the waiter; to be ended by `stopWaiting`. */
  startWaiting(): Waiter {
    const waiter: Waiter = {};
    this.waiters.add(waiter);
    return waiter;
  }

  stopWaiting(waiter: Waiter): void {
    this.waiters.delete(waiter);
  }

  /**
   * Runs `body` in an error scope; what the device objects to is parked as the error that `explain` makes of it.
   * @param answered told that error, or undefined where the device has no objection
   */
  guard<T>(
    filter: GPUErrorFilter,
    body: () => T,
    explain: (message: string) => HandgradError,
    answered: (refusal: HandgradError | undefined) => void = () => {},
  ): T {
    this.device.pushErrorScope(filter);
    try {
      return body();
    } finally {
      const check = this.device
        .popErrorScope()
        .then((error) => {
          answered(error ? this.park(explain(error.message)) : undefined);
        })
        .catch(() => {}) // The device was lost, which is told by its own promise.
        .finally(() => this.checks.delete(check));
      this.checks.add(check);
    }
  }

  /** Resolves once the device has answered all error scopes so far. */
  async settled(): Promise<void> {
    await Promise.all(this.checks);
  }
}

/** A new error, since the same one may be parked again (by a program whose kernel does not compile, for instance). */
function withCount(error: HandgradError, more: number): HandgradError {
  if (more === 0) return error;
  const Kind = error.constructor as new (message: string, options: { cause: unknown }) => HandgradError;
  const errors = more === 1 ? "1 more error" : `${more} more errors`;
  return new Kind(`${error.message} (and ${errors} after it)`, { cause: error });
}
