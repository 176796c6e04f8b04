import { rm } from "node:fs/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertEndedWell, bundleProgram, runProgram } from "./program.js";

const test = suite("device loss");
let bundle = "";

test.before(async () => {
  bundle = await bundleProgram("device_loss");
});

test.after(() => rm(bundle, { force: true }));

test("a process that lost its device opens another and ends by itself with code 0", async () => {
  for (let round = 0; round < 3; round++) {
    const outcome = await runProgram(bundle);
    assertEndedWell(outcome, `round ${round}`);
    assert.is(outcome.stdout, "done\n");
    assert.not.match(outcome.stderr, /unhandled|rejection/i);
  }
});

test.run();
