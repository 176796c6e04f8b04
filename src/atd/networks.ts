/**
 * The networks of the method at the size of 28 × 28 gray images: a convolutional feature extractor with its
 * classifier, a discriminator and a generator in feature space, and the same pair on pixels (a small DCGAN).
 */
import { ValueError } from "../gpu/errors.js";
import {
  activation,
  batchNorm,
  conv2d,
  convTranspose2d,
  dense,
  flatten,
  type LayerRecord,
} from "../layers/index.js";

/** Length of a feature vector. */
export const FEATURES = 128;

/** Length of z, the generator's input. */
export const LATENT = 32;

const LEAKY = activation("leakyRelu", { slope: 0.2 });

/**
 * The feature extractor F and its classifier, one behind the other:
 * conv 4×4 stride 2 (1→16), conv 4×4 stride 2 (16→32), dense 128, then dense `classes`; ReLU between.
 * The features are what the last ReLU gives: `FEATURE_LAYERS` layers.
 * @param classes of the classifier, at least 2
 * @throws ValueError
 * @example
 * const classifier = buildModel(gpu, extractorNetwork(10), { seed: 1 }); // logits of [n, 1, 28, 28]
 */
export function extractorNetwork(classes: number): LayerRecord[] {
  if (!(Number.isInteger(classes) && classes >= 2))
    throw new ValueError(`extractorNetwork: classes is ${classes}, and a whole number from 2 is taken`);
  return [
    conv2d(1, 16, 4, { stride: 2, padding: 1 }),
    activation("relu"),
    conv2d(16, 32, 4, { stride: 2, padding: 1 }),
    activation("relu"),
    flatten(),
    dense(32 * 7 * 7, FEATURES),
    activation("relu"),
    dense(FEATURES, classes),
  ];
}

/** How many layers of `extractorNetwork` make the features. */
export const FEATURE_LAYERS = 7;

/**
 * The discriminator D in feature space: 128→128→64→32→1 without biases, leaky ReLU 0.2, batch norm on 64 and
 * 32. Its output is a logit: 1 is in, 0 is out.
 */
export function discriminatorNetwork(features: number = FEATURES): LayerRecord[] {
  const linear = (inputs: number, outputs: number) => dense(inputs, outputs, { bias: false });
  return [
    linear(features, 128),
    LEAKY,
    linear(128, 64),
    batchNorm(64),
    LEAKY,
    linear(64, 32),
    batchNorm(32),
    LEAKY,
    linear(32, 1),
  ];
}

/** The generator G in feature space: z→64→32→64→`features`, batch norm and ReLU between, the end linear. */
export function generatorNetwork(features: number = FEATURES, latent: number = LATENT): LayerRecord[] {
  const stage = (inputs: number, outputs: number): LayerRecord[] => [
    dense(inputs, outputs, { bias: false }),
    batchNorm(outputs),
    activation("relu"),
  ];
  return [...stage(latent, 64), ...stage(64, 32), ...stage(32, 64), dense(64, features)];
}

/** D on pixels: conv 4×4 stride 2 (1→16→32), conv 7×7 to one logit, as a DCGAN's; no F before it. */
export function pixelDiscriminatorNetwork(): LayerRecord[] {
  const options = { stride: 2, padding: 1, bias: false };
  return [
    conv2d(1, 16, 4, options),
    LEAKY,
    conv2d(16, 32, 4, options),
    batchNorm(32),
    LEAKY,
    conv2d(32, 1, 7, { bias: false }),
    flatten(),
  ];
}

/**
 * G on pixels: z [n, latent, 1, 1] → [n, 1, 28, 28]. The end is a sigmoid, so that fakes have the range of
 * the images; the tanh of the released code gives the discriminator a trivial cue.
 */
export function pixelGeneratorNetwork(latent: number = LATENT): LayerRecord[] {
  const options = { stride: 2, padding: 1, bias: false };
  return [
    convTranspose2d(latent, 32, 7, { bias: false }),
    batchNorm(32),
    activation("relu"),
    convTranspose2d(32, 16, 4, options),
    batchNorm(16),
    activation("relu"),
    convTranspose2d(16, 1, 4, { ...options, bias: true }),
    activation("sigmoid"),
  ];
}
