// The detectors of the experiment, each fitted to a seed's networks; what they can be tuned by is the validation set.
import { type Tensor, tensor } from "handgrad";
import {
  type Detector,
  type DetectorName,
  DiscriminatorDetector,
  energy,
  entropy,
  knn,
  mahalanobis,
  maxLogit,
  msp,
  odin,
  openMax,
  outputsOf,
  relativeMahalanobis,
  sample,
} from "handgrad/atd";
import { type Dataset, DeviceSet } from "handgrad/data";
import { auroc } from "handgrad/metrics";
import type { AtdData } from "./data.js";
import {
  discriminatorFile,
  type Place,
  readBackbone,
  readNetwork,
  type Selected,
  type TrainedBackbone,
} from "./networks.js";
import { type BackboneName, RECIPES, type RecipeName } from "./recipes.js";

/** All of them, in the order of the tables. */
export const DETECTORS: readonly DetectorName[] = [
  "msp",
  "maxLogit",
  "energy",
  "entropy",
  "odin",
  "mahalanobis",
  "relativeMahalanobis",
  "knn",
  "openMax",
  "openGan",
  "atd",
];

/** Training images that KNN remembers and the others are fitted to. */
const FIT_IMAGES = 2000;

export interface OpenDetector {
  readonly detector: Detector;
  /** What validation chose. */
  readonly tuned: Readonly<Record<string, number>>;
  dispose(): void;
}

/** A score of a classifier, fitted to training images and tuned on validation images. */
export async function openScore(
  place: Place,
  name: DetectorName,
  backboneName: BackboneName,
  data: AtdData,
): Promise<OpenDetector> {
  if (name === "atd") return openDiscriminator(place, backboneName === "robust" ? "atd" : "atd-standard");
  if (name === "openGan")
    return openDiscriminator(place, backboneName === "robust" ? "openGan-robust" : "openGan-standard");
  const backbone = await readBackbone(place, backboneName);
  const fitSet = new DeviceSet(place.gpu, sample(data.train, FIT_IMAGES, place.seed));
  try {
    let best: { detector: Detector; tuned: Record<string, number>; area: number } | undefined;
    const choice = candidates(name, backbone);
    for (const { make, tuned } of choice) {
      const detector = make();
      await detector.fit({ x: fitSet.images, labels: fitSet.labels });
      const area = choice.length === 1 ? 0 : await validationAuroc(detector, data, place);
      if (best && area <= best.area) {
        detector.dispose();
        continue;
      }
      best?.detector.dispose();
      best = { detector, tuned, area };
    }
    const { detector, tuned } = best!;
    return {
      detector,
      tuned,
      dispose: () => {
        detector.dispose();
        backbone.classifier.dispose();
      },
    };
  } finally {
    fitSet.dispose();
  }
}

interface Candidate {
  make(): Detector;
  readonly tuned: Record<string, number>;
}

/** What validation chooses among; most scores have nothing to choose. */
function candidates(name: DetectorName, backbone: TrainedBackbone): Candidate[] {
  const plain = (make: () => Detector): Candidate[] => [{ make, tuned: {} }];
  switch (name) {
    case "msp":
      return plain(() => msp(backbone));
    case "maxLogit":
      return plain(() => maxLogit(backbone));
    case "energy":
      return plain(() => energy(backbone));
    case "entropy":
      return plain(() => entropy(backbone));
    case "mahalanobis":
      return plain(() => mahalanobis(backbone));
    case "relativeMahalanobis":
      return plain(() => relativeMahalanobis(backbone));
    case "openMax":
      return plain(() => openMax(backbone));
    case "knn":
      return [1, 10, 50].map((k) => ({ make: () => knn(backbone, { k }), tuned: { k } }));
    case "odin":
      return [1, 10, 1000].flatMap((temperature) =>
        [0, 0.0125, 0.05].map((epsilon) => ({
          make: () => odin(backbone, { temperature, epsilon }),
          tuned: { temperature, epsilon },
        })),
      );
    default:
      throw new Error(`${name} is no score of a classifier`);
  }
}

/** D(F(x)) of a recipe, of the epoch that validation chose. */
export async function openDiscriminator(
  place: Place,
  recipe: RecipeName,
  selected: Selected = "attacked",
): Promise<OpenDetector> {
  const backbone = await readBackbone(place, RECIPES[recipe].backbone);
  const discriminator = await readNetwork(place, discriminatorFile(recipe, selected));
  return {
    detector: new DiscriminatorDetector("atd", backbone.features, discriminator),
    tuned: {},
    dispose: () => {
      discriminator.dispose();
      backbone.classifier.dispose();
    },
  };
}

async function validationAuroc(detector: Detector, data: AtdData, place: Place): Promise<number> {
  const inside = await scoresOf(detector, data.validationIn, place);
  const outside = await scoresOf(detector, data.validationOut, place);
  return auroc([...inside, ...outside], [...inside.map(() => 1), ...outside.map(() => 0)]);
}

/** Scores of clean images. */
export async function scoresOf(detector: Detector, set: Dataset, { gpu }: Place): Promise<number[]> {
  const images = imagesOf(set, gpu);
  try {
    const model = { forward: (x: Tensor) => ({ y: detector.score(x) }) };
    return Array.from((await outputsOf(model, images, 250)).values);
  } finally {
    images.dispose();
  }
}

/** A set's images on the device. */
export function imagesOf({ images, shape, count }: Dataset, gpu: Place["gpu"]): Tensor {
  return tensor(gpu, floatsOf(images), [count, ...shape]);
}

/** Pixels from 0 to 1. */
export function floatsOf(images: Dataset["images"]): Float32Array<ArrayBuffer> {
  return images instanceof Uint8Array
    ? Float32Array.from(images, (byte) => byte / 255)
    : new Float32Array(images);
}
