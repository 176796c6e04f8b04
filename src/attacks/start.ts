/**
 * Where attacks start: nowhere, at random in the ball, at a given δ; and noise, which is all there is to
 * some.
 */
import startWgsl from "../../shaders/pgd_start.wgsl";
import { ShapeError } from "../gpu/errors.js";
import type { Gpu } from "../gpu/gpu.js";
import { defineKernel, gridFor } from "../gpu/kernel.js";
import { seedKey } from "../random.js";
import type { Tensor } from "../tensor.js";
import { type Batch, epsilonOf, NORM_CODE, type Norm, sampleSizes } from "./definition.js";
import { STREAMS } from "./targets.js";

/** The value of `KIND` in the WGSL. */
const KIND = { zero: 0, uniform: 1, gaussian: 2, given: 3 } as const;

export interface StartOptions {
  readonly norm: Norm;
  readonly epsilon: number;
  readonly seed: number;
  readonly kind: keyof typeof KIND;
  /** Of Gaussian noise, as a share of ε. */
  readonly deviation?: number;
  /** The step: `absolute` in pixel units plus `relative` times ε. */
  readonly step?: { readonly absolute?: number; readonly relative?: number };
}

export interface Start {
  /** x's shape. */
  readonly delta: Tensor;
  /** x + δ. */
  readonly images: Tensor;
  /** [n, 2]: ε and the step of each sample. */
  readonly budget: Tensor;
}

/** Lanes that share a sample. Software adapters pay for barriers by the lane, GPUs wait for loads. */
export function lanesASample(gpu: Gpu): number {
  return gpu.info.kind === "software" ? 8 : 64;
}

const startKernel = defineKernel<StartOptions>({
  name: "pgd_start",
  wgsl: startWgsl,
  bindings: {
    x: "read",
    samples: "optional",
    draw: "optional",
    epsilon: "read",
    given: "optional",
    delta: "write",
    images: "write",
    budget: "write",
  },
  constants: (_shapes, { norm, kind }, gpu) => ({
    WORKGROUP_SIZE: lanesASample(gpu),
    NORM: NORM_CODE[norm],
    KIND: KIND[kind],
  }),
  shape: ({ x, samples, draw, epsilon, given }) => {
    const { count } = sampleSizes("attack", x);
    if (given && given.join() !== x.join())
      throw new ShapeError(`attack: start has shape [${given}], and that of x, [${x}], is taken`);
    for (const [name, shape, wanted] of [
      ["samples", samples, count],
      ["draw", draw, 1],
      ["epsilon", epsilon, 1],
    ] as const) {
      if (shape && (shape.length !== 1 || shape[0] !== wanted))
        throw new ShapeError(`attack: ${name} has shape [${shape}], and [${wanted}] is taken`);
    }
    return { delta: x, images: x, budget: [count, 2] };
  },
  uniforms: ({ x }, { seed, deviation = 0, step = {} }) => {
    const [low, high] = seedKey(seed);
    return {
      ...sampleSizes("attack", x),
      stream: STREAMS.start,
      key_low: low,
      key_high: high,
      deviation,
      step_absolute: step.absolute ?? 0,
      step_relative: step.relative ?? 0,
    };
  },
  grid: ({ x }, limits) => gridFor(x[0], 1, limits),
  work: ({ x }) => 200 * sampleSizes("attack", x).size * x[0],
});

/** The first δ of a batch; one that the batch brings along goes before the attack's own kind. */
export function startAttack(batch: Batch, options: StartOptions): Start {
  const { x, samples, draw, start: given } = batch;
  return x.gpu.scope(() => {
    const inputs = { x, samples, draw, epsilon: epsilonOf(batch, options), given };
    const { delta, images, budget } = startKernel.run(
      inputs,
      given ? { ...options, kind: "given" } : options,
    );
    return { delta, images, budget };
  });
}
