/**
 * Work that must not outlive the device: it is rejected when the device is lost or the gpu disposed of. (A race with
 * one promise for "lost" would do the same, and keep something of every race in memory for as long as the gpu lives.)
 */
import type { HandgradError } from "./errors.js";

export class Lifetime {
  /** Called when something begins to wait. */
  onWait?: () => void;
  private ended?: HandgradError;
  private readonly waiting = new Set<(error: HandgradError) => void>();

  /** How many promises wait for work or for the end. */
  get pending(): number {
    return this.waiting.size;
  }

  /** Rejects what is pending, and what comes. The first error stays. */
  end(error: HandgradError): void {
    this.ended ??= error;
    for (const reject of this.waiting) reject(this.ended);
    this.waiting.clear();
  }

  /** What `work` comes to, unless the end comes first. */
  unlessEnded<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.ended) reject(this.ended);
      else {
        this.waiting.add(reject);
        this.onWait?.();
      }
      work.then(resolve, reject).finally(() => this.waiting.delete(reject));
    });
  }
}
