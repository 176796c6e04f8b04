// The attributions of the experiment, with the settings that all variants share.
import type { Tensor } from "handgrad";
import { type AttributeOptions, type AttributionName, attribute, attributionNames } from "handgrad/explain";
import type { Sequential } from "handgrad/layers";

/** Those of the paper's table, whose mean is the claim's. */
export const PAPER_METHODS: readonly AttributionName[] = [
  "saliency",
  "inputXGradient",
  "deepLift",
  "lrp",
  "guidedBackprop",
  "guidedGradCam",
  "integratedGradients",
  "gradientShap",
  "occlusion",
  "lime",
];

/** Hundreds of passes an image. */
export const DEAR_METHODS: readonly AttributionName[] = ["occlusion", "lime", "featureAblation"];

export const CHEAP_METHODS: readonly AttributionName[] = attributionNames.filter(
  (name) => !DEAR_METHODS.includes(name),
);

/** Points of a path or copies with noise. */
const PASSES = 8;
/** Of copies with noise, in units of the brightest pixel. */
const NOISE = 0.1;

const OPTIONS: { readonly [Name in AttributionName]?: Record<string, unknown> } = {
  integratedGradients: { steps: PASSES },
  smoothGrad: { samples: PASSES, std: NOISE },
  gradientShap: { samples: PASSES, std: NOISE },
};

/** What a method is called with, for the settings of a run. */
export const methodOptions = (method: AttributionName): Record<string, unknown> => ({
  sign: "absolute",
  ...OPTIONS[method],
});

/**
 * One map an image, of the size of what each pixel counts for.
 * @param images [n, 1, h, w]
 */
export async function mapsOf(
  model: Sequential,
  images: Tensor,
  method: AttributionName,
  targets: readonly number[],
): Promise<Float32Array[]> {
  const options = { method, target: targets, ...methodOptions(method) } as AttributeOptions;
  const maps = await attribute(model, images, options);
  const values = (await maps.data()) as Float32Array;
  maps.dispose();
  const size = values.length / images.shape[0];
  return targets.map((_, at) => values.slice(at * size, (at + 1) * size));
}
