import { suite } from "uvu";
import * as assert from "uvu/assert";
import { departures, gaussianCosine } from "../examples/neurons/departures.js";
import { convRecords, denseRecords, equality, isEqual, type Net } from "../examples/neurons/equality.js";
import { identities } from "../examples/neurons/identities.js";
import { sharedGpu } from "./helpers/gpu.js";

const theory = suite("neurons: theory");

const describe = (row: object): string => JSON.stringify(row);

theory("first-order attention, measured by differences, is the float64 gradient", async () => {
  const nets: Net[] = (["relu", "tanh"] as const).flatMap((activation) => [
    {
      title: "dense",
      activation,
      records: denseRecords(20, 24, 6, activation),
      options: { inputShape: [16, 20], classes: 6 },
    },
    {
      title: "convolution",
      activation,
      records: convRecords(10, 3, 4, activation),
      options: { inputShape: [4, 1, 10, 10], classes: 4 },
    },
  ]);
  const rows = await equality(await sharedGpu(), nets);
  assert.is(rows.length, 2 * 2 * (3 + 4));
  for (const row of rows) assert.ok(isEqual(row), describe(row));
});

theory("each condition broken singly departs as predicted", async () => {
  const rows = await departures(await sharedGpu());
  assert.equal(
    [...new Set(rows.map(({ condition }) => condition))],
    ["a", "b", "c", "control", "d", "e", "f", "g", "j"],
  );
  for (const row of rows) assert.ok(row.holds, describe(row));
});

theory("the cosine of a hop through Gaussian weights: √(2/π) for p = 1, and the notes' others", () => {
  assert.ok(Math.abs(gaussianCosine(1) - Math.sqrt(2 / Math.PI)) < 1e-12);
  for (const [p, cosine] of [
    [1.5, 0.96],
    [2, 1],
    [3, 0.92],
    [4, 0.77],
  ]) {
    assert.ok(Math.abs(gaussianCosine(p) - cosine) < 0.006, `${p}: ${gaussianCosine(p)}`);
  }
});

theory("identities", async () => {
  const rows = await identities(await sharedGpu());
  for (const row of rows) assert.ok(row.holds, describe(row));
});

theory.run();
