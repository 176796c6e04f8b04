/** Detectors whose fit is the training of a discriminator on features: OpenGAN's way, and ATD. */
import type { DeviceSet } from "../../data/device_set.js";
import { buildModel } from "../../layers/build.js";
import type { Sequential } from "../../layers/sequential.js";
import { gatherRows } from "../../ops/movement.js";
import type { Tensor } from "../../tensor.js";
import type { AtdOptions } from "../atd_options.js";
import { AtdTrainer } from "../atd_trainer.js";
import type { Backbone, Detector, FitData, FitOptions } from "../detector.js";
import { DiscriminatorDetector } from "../discriminator.js";
import { discriminatorNetwork, generatorNetwork, LATENT } from "../networks.js";
import { checkFitData, checkFitted } from "./head_detector.js";

/** As `AtdTrainer` takes them; whether there is an open set is said by the `outliers` that `fit` is given. */
export type DiscriminatorOptions = Omit<AtdOptions, "openSet" | "attacked" | "epsilon" | "attackFakes">;

class TrainedDetector implements Detector {
  private discriminator?: Sequential;
  private inner?: DiscriminatorDetector;

  constructor(
    readonly name: string,
    private readonly backbone: Backbone,
    private readonly options: AtdOptions,
  ) {}

  get fitted(): boolean {
    return this.inner !== undefined;
  }

  async fit(data: FitData, { batch = 256, onProgress }: FitOptions = {}): Promise<void> {
    checkFitData(this.name, data, batch);
    const { gpu } = data.x;
    const { features } = this.backbone;
    const rows = data.x.like([1], "u32").write(new Uint32Array(1));
    const probe = gpu.scope(() => features.forward(gatherRows(data.x, rows)).y);
    const width = probe.shape[1];
    for (const held of [rows, probe]) held.dispose();
    const { seed = 0 } = this.options;
    const discriminator = buildModel(gpu, discriminatorNetwork(width), { seed });
    const generator = buildModel(gpu, generatorNetwork(width), { seed: seed + 1 });
    const images = { train: setOf(data.x, data.labels), open: data.outliers && setOf(data.outliers) };
    let trainer: AtdTrainer | undefined;
    try {
      const models = { features, discriminator, generator, latentShape: [LATENT] };
      trainer = new AtdTrainer(models, images, { ...this.options, openSet: data.outliers !== undefined });
      for (let epoch = 0; epoch < trainer.epochs; epoch++) {
        const { epochs } = trainer;
        await trainer.epoch((share) => onProgress?.((epoch + share) / epochs));
      }
    } catch (error) {
      discriminator.dispose();
      throw error;
    } finally {
      trainer?.dispose();
      generator.dispose();
    }
    this.dispose();
    this.discriminator = discriminator;
    this.inner = new DiscriminatorDetector(this.name, features, discriminator);
  }

  score(x: Tensor): Tensor {
    return x.gpu.scope(() => this.forward(x).y);
  }

  forward(x: Tensor): { y: Tensor; saved: unknown } {
    checkFitted(this);
    return (this.inner as DiscriminatorDetector).forward(x);
  }

  inputGrad(dy: Tensor, saved: unknown): Tensor {
    checkFitted(this);
    return dy.gpu.scope(() => (this.inner as DiscriminatorDetector).inputGrad(dy, saved));
  }

  dispose(): void {
    this.discriminator?.dispose();
    this.discriminator = undefined;
    this.inner = undefined;
  }
}

/** The caller's tensors as a set; labels are not looked at. */
function setOf(images: Tensor, labels: Tensor = images): DeviceSet {
  const batch = (indices: Tensor) => ({
    x: gatherRows(images, indices),
    labels: gatherRows(labels, indices),
  });
  return { images, labels, count: images.shape[0], batch, dispose() {} };
}

/**
 * A discriminator on features in the way of OpenGAN (Kong and Ramanan, ICCV 2021): in-distribution features
 * against a generator's and those of an open set (`outliers`, if `fit` is given some), without attacks. Its
 * score is the logit. `fit` trains it; for checkpoints and selection by validation take `AtdTrainer`.
 * @example
 * const detector = openGan(backbone, { epochs: 3, seed: 1 });
 * await detector.fit({ x, labels, outliers });
 */
export function openGan(backbone: Backbone, options: DiscriminatorOptions = {}): Detector {
  return new TrainedDetector("openGan", backbone, { ...options, epsilon: 0, attacked: "none" });
}

/**
 * The adversarially trained discriminator on a robust backbone's features: `openGan` with both real sides
 * attacked end to end in training. The backbone is taken as it is: train it adversarially before.
 * @example
 * const detector = atd(robustBackbone, { epsilon: 16 / 255, seed: 1 });
 * await detector.fit({ x, labels, outliers });
 */
export function atd(
  backbone: Backbone,
  options: DiscriminatorOptions & Pick<AtdOptions, "epsilon" | "attacked" | "attackFakes">,
): Detector {
  return new TrainedDetector("atd", backbone, options);
}
