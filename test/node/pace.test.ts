import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Lifetime } from "../../src/gpu/lifetime.js";
import { paceWaits } from "../../src/node/pace.js";
import { sharedGpu } from "../helpers/gpu.js";

const test = suite("waiting on Node");

/** Turns of the event loop in so many milliseconds. */
function turnsIn(milliseconds: number): Promise<number> {
  const start = performance.now();
  return new Promise((resolve) => {
    let turns = 0;
    const turn = (): void => {
      turns++;
      if (performance.now() - start >= milliseconds) resolve(turns);
      else setImmediate(turn);
    };
    turn();
  });
}

/** The most turns of three short spans: other processes may have taken the core in one. */
async function atFullSpeed(): Promise<number> {
  return Math.max(await turnsIn(10), await turnsIn(10), await turnsIn(10));
}

test("the event loop turns slowly while something is waited for, at full speed before and after", async () => {
  const lifetime = new Lifetime();
  paceWaits(lifetime);
  const before = await atFullSpeed();
  const wait = lifetime.unlessEnded(new Promise((resolve) => setTimeout(resolve, 90, "done")));
  const during = await turnsIn(60);
  assert.is(await wait, "done");
  const after = await atFullSpeed();
  // A twentieth of the time waited so far, at least 0.02 ms, at most 1 ms.
  assert.ok(during <= 300, `${during} turns in 60 ms`);
  for (const turns of [before, after]) assert.ok(turns > 100, `${turns} turns in 10 ms`);
});

test("a software adapter is waited for at that pace", async () => {
  const gpu = await sharedGpu();
  assert.is(gpu.lifetime.onWait !== undefined, gpu.info.kind === "software");
});

test.run();
