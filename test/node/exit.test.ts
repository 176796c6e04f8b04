import { rm } from "node:fs/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertEndedWell, bundleProgram, type Outcome, runProgram } from "./program.js";

const test = suite("process exit");
const uses = ["idle", "work", "pending", "reopened"];
let bundle = "";

test.before(async () => {
  bundle = await bundleProgram("exit");
});

test.after(() => rm(bundle, { force: true }));

test("after dispose() the process ends by itself with code 0, 20 times of 20", async () => {
  for (let round = 0; round < 5; round++) {
    // A collection of garbage at the wrong moment is what used to crash or hang Dawn.
    const flags = round % 2 === 0 ? ["--expose-gc"] : [];
    const outcomes = await Promise.all(uses.map((use) => runProgram(bundle, { args: [use], flags })));
    for (const [index, outcome] of outcomes.entries()) check(outcome, `${uses[index]}, round ${round}`);
  }
});

function check(outcome: Outcome, what: string): void {
  assertEndedWell(outcome, what);
  assert.is(outcome.stdout, "done\n", what);
}

test.run();
