/**
 * Waiting on Node without keeping a core busy. As long as a promise is pending, Dawn's binding asks for events in every
 * turn of the event loop, without a pause; where the adapter is software, it is its own cores that this takes.
 */
import type { Lifetime } from "../gpu/lifetime.js";

/** Of a turn, in milliseconds: a share of the time that was waited, so that short waits stay short. */
const PAUSE = { share: 0.05, least: 0.02, most: 1 };

/** Pauses in every turn of the event loop while work of the device is waited for. */
export function paceWaits(lifetime: Lifetime): void {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  if (!maySleep(cell)) return;
  let turning = false;
  let start = 0;
  const turn = (): void => {
    turning = lifetime.pending > 0;
    if (!turning) return;
    const share = PAUSE.share * (performance.now() - start);
    Atomics.wait(cell, 0, 0, Math.min(Math.max(share, PAUSE.least), PAUSE.most));
    setImmediate(turn);
  };
  lifetime.onWait = () => {
    start = performance.now();
    if (!turning) setImmediate(turn);
    turning = true;
  };
}

/** Some hosts with a page of their own do not let its thread sleep. */
function maySleep(cell: Int32Array): boolean {
  try {
    return Atomics.wait(cell, 0, 1, 0) === "not-equal";
  } catch {
    return false;
  }
}
