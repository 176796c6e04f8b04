import { suite } from "uvu";
import * as assert from "uvu/assert";
import { spread } from "../src/gpu/spread.js";

const test = suite("order of workgroups");

test("every place is visited once", () => {
  for (let count = 1; count <= 500; count++) {
    const step = spread(count);
    const visited = new Set(Array.from({ length: count }, (_, visit) => (visit * step) % count));
    assert.is(visited.size, count, `${count} places in steps of ${step}`);
  }
});

test("any thread's run of visits has its share of places that grow dearer", () => {
  for (const count of [89, 347, 1000]) {
    const step = spread(count);
    const costs = Array.from({ length: count }, (_, visit) => ((visit * step) % count) + 1);
    const all = costs.reduce((sum, cost) => sum + cost, 0);
    for (const threads of [2, 3, 4, 8]) {
      const run = Math.floor(count / threads);
      for (let thread = 0; thread < threads; thread++) {
        const own = costs.slice(thread * run, (thread + 1) * run).reduce((sum, cost) => sum + cost, 0);
        const share = own / ((all * run) / count);
        assert.ok(Math.abs(share - 1) < 0.2, `${count} places, thread ${thread} of ${threads}: ${share}`);
      }
    }
  }
});

test.run();
