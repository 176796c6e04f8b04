/**
 * One training step of the method (arXiv 2209.15246, eq. 9, in the order of its reference code): attack the
 * real images, step D on real, fake and open-set features together, step G.
 */
import { type AttackLoss, scoreLoss } from "../attacks/losses.js";
import type { Differentiable } from "../attacks/model.js";
import { perturb } from "../attacks/perturb.js";
import { pgd } from "../attacks/pgd.js";
import type { Gpu } from "../gpu/gpu.js";
import type { Sequential } from "../layers/sequential.js";
import type { Optimizer } from "../optimizer.js";
import { abs, add, full, maximum, minimum, mul, neg, sign, sub } from "../ops/elementwise.js";
import { bceWithLogits } from "../ops/loss.js";
import { concat, slice } from "../ops/movement.js";
import { randomNormal } from "../ops/random.js";
import { mean, sum } from "../ops/reduce.js";
import { type Tensor, tensor, zeros } from "../tensor.js";
import type { AtdSettings } from "./atd_options.js";
import { chain } from "./discriminator.js";

/** Which of the seed's sequences z is drawn from, in the step of D and in that of G. */
const STREAMS = { discriminator: 0x41_54_44_01, generator: 0x41_54_44_02 } as const;

/** The step of an attack on features, as a share of their ball. */
const FEATURE_STEP = 2.5;

/** The networks of a training and their optimizers. */
export interface AtdNetworks {
  /** F; undefined for the form on pixels. Stays as it is, in evaluation mode. */
  readonly features?: Differentiable;
  readonly discriminator: Sequential;
  readonly generator?: Sequential;
  readonly optimizerD: Optimizer;
  /** Of a generator that is trained. */
  readonly optimizerG?: Optimizer;
}

/** [1] each; the generator's is missing where it is not trained. */
export interface StepLosses {
  readonly lossD: Tensor;
  readonly lossG?: Tensor;
}

/** The step for one batch size, with the constants that it reads. */
export class AtdStep {
  /** D(F(x)): what the real images are attacked on. */
  private readonly score: Differentiable;
  /** 1 for in, 0 for out. BCE with them rises where the logit falls or rises: the attack's direction. */
  private readonly labels: Readonly<Record<"in" | "out", Tensor>>;
  private readonly loss: AttackLoss = scoreLoss();

  constructor(
    private readonly gpu: Gpu,
    private readonly networks: AtdNetworks,
    private readonly settings: AtdSettings,
    private readonly latentShape: readonly number[],
    /** u32 [1]: the number of the step, on which all random numbers hang. */
    private readonly draw: Tensor,
  ) {
    const { batchSize } = settings;
    this.score = chain(networks.features, networks.discriminator);
    this.labels = {
      in: tensor(gpu, new Uint32Array(batchSize).fill(1)),
      out: zeros(gpu, [batchSize], { dtype: "u32" }),
    };
  }

  /**
   * Records a step.
   * @param x [batchSize, …] that is in
   * @param outliers as many images of the open set, if there is one
   */
  record(x: Tensor, outliers?: Tensor): StepLosses {
    const { settings, networks } = this;
    const images = this.attackReal(x, outliers);
    const real = this.featuresOf(images.x);
    const out = images.outliers && this.featuresOf(images.outliers);
    const fakes = this.fakes(STREAMS.discriminator)?.y;
    const hardFakes = fakes && settings.attackFakes ? this.attackFakes(fakes, x, real) : fakes;
    const lossD = this.stepDiscriminator(real, hardFakes, out);
    return { lossD, lossG: networks.generator && this.stepGenerator(networks.generator) };
  }

  dispose(): void {
    for (const labels of Object.values(this.labels)) labels.dispose();
  }

  /** Both kinds in one attack where both are attacked: D in evaluation mode treats each sample by itself. */
  private attackReal(x: Tensor, outliers?: Tensor): { x: Tensor; outliers?: Tensor } {
    const { attacked, epsilon, batchSize: n } = this.settings;
    const sides = (["in", "out"] as const).filter((side) => attacked === "both" || attacked === side);
    if (epsilon === 0) return { x, outliers };
    if (sides.length === 2 && outliers) {
      const labels = concat([this.labels.in, this.labels.out], 0);
      const moved = this.attackImages(concat([x, outliers], 0), labels);
      const rest = x.shape.slice(1);
      const part = (from: number): Tensor => slice(moved, [from, ...rest.map(() => 0)], [from + n, ...rest]);
      return { x: part(0), outliers: part(n) };
    }
    return {
      x: sides.includes("in") ? this.attackImages(x, this.labels.in) : x,
      outliers: outliers && sides.includes("out") ? this.attackImages(outliers, this.labels.out) : outliers,
    };
  }

  private attackImages(x: Tensor, labels: Tensor): Tensor {
    const { epsilon, attackSteps, seed } = this.settings;
    const how = pgd({ epsilon, steps: attackSteps, loss: this.loss, seed });
    return perturb(this.score, { x, labels, draw: this.draw }, how).images;
  }

  private featuresOf(images: Tensor): Tensor {
    return this.networks.features?.forward(images).y ?? images;
  }

  /** G(z) of a fresh z: as a constant in D's step (evaluation mode), or to be trained. */
  private fakes(stream: number, training = false) {
    const { generator } = this.networks;
    const { batchSize, seed } = this.settings;
    const shape = [batchSize, ...this.latentShape];
    const z = () => randomNormal(this.gpu, shape, { seed, stream, counter: this.draw });
    return generator?.forward(z(), { training });
  }

  /** Not part of the method: its fakes are left as they are. */
  private attackFakes(fakes: Tensor, x: Tensor, real: Tensor): Tensor {
    if (!this.networks.features) return this.attackImages(fakes, this.labels.out);
    const { attackSteps } = this.settings;
    const D = this.networks.discriminator;
    const radius = mean(abs(sub(real, this.featuresOf(x)))).reshape([1]);
    const step = mul(radius, FEATURE_STEP / attackSteps);
    let delta = zeros(this.gpu, fakes.shape);
    for (let i = 0; i < attackSteps; i++) {
      delta = this.gpu.scope(() => {
        const { y, saved } = D.forward(add(fakes, delta));
        const upward = sign(D.inputGrad(full(this.gpu, y.shape, 1), saved));
        return minimum(maximum(add(delta, mul(upward, step)), neg(radius)), radius);
      });
    }
    return add(fakes, delta);
  }

  /**
   * L_D = mean BCE(D(real), 1) + (1 - α) mean BCE(D(fake), 0) + α mean BCE(D(out), 0), with one batch norm over
   * all of them.
   */
  private stepDiscriminator(real: Tensor, fakes?: Tensor, out?: Tensor): Tensor {
    const { discriminator, optimizerD } = this.networks;
    const { alpha, batchSize: n } = this.settings;
    const kinds = [
      { batch: real, target: 1, weight: 1 },
      { batch: fakes, target: 0, weight: 1 - alpha },
      { batch: out, target: 0, weight: alpha },
    ].filter((kind): kind is { batch: Tensor; target: number; weight: number } => kind.batch !== undefined);
    const column = (value: (kind: { target: number; weight: number }) => number): Tensor =>
      concat(
        kinds.map((kind) => full(this.gpu, [n, 1], value(kind))),
        0,
      );
    const all = concat(
      kinds.map(({ batch }) => batch),
      0,
    );
    const { y, saved } = discriminator.forward(all, { training: true });
    const { loss, dlogits } = bceWithLogits(
      y,
      column(({ target }) => target),
      { reduction: "none" },
    );
    const weights = column(({ weight }) => weight / n);
    optimizerD.step(discriminator.backward(mul(dlogits, weights), saved).grads);
    return sum(mul(loss, weights)).reshape([1]);
  }

  /**
   * L_G = mean BCE(D(G(z)), 1), non-saturating, D in evaluation mode. A frozen generator is run all the same, as
   * in the released code: its running statistics move, its weights do not.
   */
  private stepGenerator(generator: Sequential): Tensor | undefined {
    const { discriminator, optimizerG } = this.networks;
    const { y: fakes, saved } = this.fakes(STREAMS.generator, true)!;
    if (!optimizerG) return undefined;
    const { y: logits, saved: savedD } = discriminator.forward(fakes);
    const { loss, dlogits } = bceWithLogits(logits, full(this.gpu, logits.shape, 1));
    optimizerG.step(generator.backward(discriminator.inputGrad(dlogits, savedD), saved).grads);
    return loss.reshape([1]);
  }
}
