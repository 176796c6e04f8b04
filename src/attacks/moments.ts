/** Directions that remember earlier gradients: MI-FGSM's momentum and Adam. */
import adamWgsl from "../../shaders/pgd_adam.wgsl";
import momentumWgsl from "../../shaders/pgd_momentum.wgsl";
import { defineKernel, gridFor, sizeOf } from "../gpu/kernel.js";
import { type Tensor, zeros } from "../tensor.js";
import { sampleSizes } from "./definition.js";
import { lanesASample } from "./start.js";

const momentumKernel = defineKernel<{ decay: number }>({
  name: "pgd_momentum",
  wgsl: momentumWgsl,
  bindings: { gradient: "read", moment: "readWrite", flags: "readWrite" },
  constants: (_shapes, _options, gpu) => ({ WORKGROUP_SIZE: lanesASample(gpu) }),
  shape: () => ({}),
  uniforms: ({ gradient }, { decay }) => ({ ...sampleSizes("attack", gradient), decay }),
  grid: ({ gradient }, limits) => gridFor(gradient[0], 1, limits),
  work: ({ gradient }) => 40 * sizeOf(gradient),
});

interface AdamStep {
  readonly beta1: number;
  readonly beta2: number;
  /** From 1. */
  readonly time: number;
}

const adamKernel = defineKernel<AdamStep>({
  name: "pgd_adam",
  wgsl: adamWgsl,
  bindings: { gradient: "read", m: "readWrite", v: "readWrite", flags: "readWrite", direction: "write" },
  constants: (_shapes, _options, gpu) => ({ WORKGROUP_SIZE: lanesASample(gpu) }),
  shape: ({ gradient }) => ({ direction: gradient }),
  uniforms: ({ gradient }, { beta1, beta2, time }) => ({
    ...sampleSizes("attack", gradient),
    beta1,
    beta2,
    correction1: 1 / (1 - beta1 ** time),
    correction2: 1 / (1 - beta2 ** time),
  }),
  grid: ({ gradient }, limits) => gridFor(gradient[0], 1, limits),
  work: ({ gradient }) => 60 * sizeOf(gradient),
});

/** Makes the direction of a step of its gradient. `step` counts from 0. */
export type Direction = (gradient: Tensor, flags: Tensor, step: number) => Tensor;

/** The sum of the gradients, each of l1 norm 1, earlier ones weighted down by `decay` a step. */
export function momentum(x: Tensor, decay: number): Direction {
  const moment = zeros(x.gpu, x.shape);
  return (gradient, flags) => {
    momentumKernel.run({ gradient, moment, flags }, { decay });
    return moment;
  };
}

/** Adam's direction. */
export function adamDirection(x: Tensor, [beta1, beta2]: readonly [number, number]): Direction {
  const [m, v] = [zeros(x.gpu, x.shape), zeros(x.gpu, x.shape)];
  return (gradient, flags, step) =>
    adamKernel.run({ gradient, m, v, flags }, { beta1, beta2, time: step + 1 }).direction;
}
