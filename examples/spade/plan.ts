// What the experiment does: its parts, each a set of images, methods and variants.
import type { AttributionName } from "handgrad/explain";
import { gaussianNoise, type Ratios } from "handgrad/spade";
import type { Copies, MethodRatios, Variant } from "./chunk.js";
import { CHEAP_METHODS, DEAR_METHODS } from "./methods.js";

export interface Part {
  readonly name: string;
  /** Images of each network. */
  readonly images: number;
  readonly methods: readonly AttributionName[];
  readonly variants: readonly Variant[];
  readonly ratios: MethodRatios;
  readonly copies: Copies;
  readonly spadeLayers?: readonly string[];
}

/** Copies of the image with noise, and nothing else: crops of these scenes lose the trigger. */
export const COPIES: Copies = { samples: 64, augment: [gaussianNoise(0.1)] };

/** Ratios without any tuning: all layers alike. */
export const UNIFORM: readonly number[] = [0.5, 0.8];

/** Images in a job: a network's chunk shares what does not hang on the image. */
export const CHUNK = 4;

/** Ratios found by `npm run spade -- tune`: one set for all methods, and one a method. */
export interface TunedRatios {
  readonly one: Readonly<Record<string, number>>;
  readonly byMethod: { readonly [Name in AttributionName]?: Readonly<Record<string, number>> };
}

const CONTROLS: readonly Variant[] = ["otherSample", "magnitude", "random"];

export interface PlanOptions {
  /** Images of each network. */
  readonly images: number;
  /** Images for the methods and the solver that take hundreds of times as long. */
  readonly dearImages: number;
  readonly tuned: TunedRatios;
  /** Layers of at most 300 inputs, which the exact solver takes. */
  readonly smallLayers: readonly string[];
}

export function planOf({ images, dearImages, tuned, smallLayers }: PlanOptions): Part[] {
  const one: MethodRatios = { all: tuned.one };
  const common = { methods: CHEAP_METHODS, copies: COPIES, images };
  const small: Ratios = Object.fromEntries(smallLayers.map((name) => [name, tuned.one[name] ?? 0]));
  return [
    {
      ...common,
      name: "tuned by method",
      variants: ["dense", "fastspade", ...CONTROLS],
      ratios: { all: tuned.one, ...tuned.byMethod },
    },
    {
      ...common,
      name: "dear methods",
      images: dearImages,
      methods: DEAR_METHODS,
      variants: ["dense", "fastspade", ...CONTROLS],
      ratios: { all: tuned.one, ...tuned.byMethod },
    },
    {
      ...common,
      name: "exact solver",
      images: dearImages,
      variants: ["spade", "fastspade"],
      ratios: { all: small },
      spadeLayers: smallLayers,
    },
    { ...common, name: "tuned for all", variants: ["fastspade", ...CONTROLS], ratios: one },
    ...UNIFORM.map((ratio) => ({
      ...common,
      name: `uniform ${ratio}`,
      variants: ["fastspade"] as const,
      ratios: { all: ratio },
    })),
  ];
}
