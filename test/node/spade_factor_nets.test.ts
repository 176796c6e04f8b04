import { openGpu, randomUniform } from "handgrad";
import { calibrate } from "handgrad/spade";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { loadNet, usualNets } from "../../examples/spade/nets.js";
import { COPIES } from "../../examples/spade/plan.js";
import { readTuned } from "../../examples/spade/tuned.js";
import { adapterTraits } from "../../src/ops/matmul_plan.js";
import { fastSpade } from "../../src/spade/fast_spade.js";
import { type Factors, LayerProblem } from "../../src/spade/layer_problem.js";
import { relativeError } from "../helpers/compare.js";

const test = suite("factors of the networks that ship");

async function solved(problem: LayerProblem, factors: Factors, ratio: number) {
  const { weights, size, area } = problem;
  const blockSize = Math.min(area > 1 ? area : 16, size);
  const removed = Math.floor(ratio * weights + 0.5);
  const [made] = fastSpade([{ problem, factors, blockSize, removed, ratio }], { threshold: "layer" });
  const values = await Promise.all([made.weights.data(), made.mask.data()]);
  for (const held of [made.weights, made.mask, factors.u, factors.scale, factors.alive]) held.dispose();
  return values;
}

test("float32 on the device takes out the same weights as float64 on the CPU", async () => {
  const gpu = await openGpu();
  try {
    if (![4, 8].includes(adapterTraits(gpu).lanes)) return; // no kernel for others
    const scene = randomUniform(gpu, [1, 1, 40, 40], { seed: 2 });
    let layers = 0;
    for (const name of await usualNets()) {
      const { model } = await loadNet(gpu, name);
      const { one: ratios } = await readTuned(name);
      const pruned = Object.keys(ratios).filter((layer) => ratios[layer] > 0);
      const calibration = await calibrate(model, scene, { ...COPIES, layers: pruned });
      for (const problem of calibration.batches[0].problems.values()) {
        const [device] = await LayerProblem.deviceFactors([problem]);
        const host = await problem.hostFactors();
        assert.ok(device, `${name} ${problem.name}: a pivot failed`);
        assert.equal(host.damping, device.damping);
        const what = `${name}, layer ${problem.name}`;
        const error = relativeError(await device.u.data(), await host.u.data());
        assert.ok(error < 1e-4, `${what}: U differs by ${error}`);
        const ratio = ratios[problem.name];
        const [weights, mask] = await solved(problem, device, ratio);
        const [expected, expectedMask] = await solved(problem, host, ratio);
        assert.equal(mask, expectedMask, `${what}: masks`);
        const difference = relativeError(weights, expected);
        assert.ok(difference < 1e-4, `${what}: weights differ by ${difference}`);
        layers++;
      }
      calibration.dispose();
      model.dispose();
    }
    assert.ok(layers >= 12, `${layers} layers compared`);
  } finally {
    gpu.dispose();
  }
});

test.run();
