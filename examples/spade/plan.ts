// What the experiment does: its parts, each some images, methods and settings.
import type { AttributionName } from "handgrad/explain";
import { gaussianNoise, type Ratios } from "handgrad/spade";
import type { Copies, Setting } from "./chunk.js";
import type { TunedSolver } from "./tuned.js";
import type { SceneVariation } from "./samples.js";
import { CHEAP_METHODS, DEAR_METHODS, PAPER_METHODS } from "./methods.js";

/** Held-out scenes by kind: as those of the training, with fainter triggers (weights there 0.55 to 0.7), or brighter clutter (there 0.6). */
export const SCENE_KINDS = {
  evaluation: {},
  faint: { blend: [0.4, 0.5] },
  bright: { dim: 0.8 },
} as const satisfies Readonly<Record<string, SceneVariation>>;
export type SceneKind = keyof typeof SCENE_KINDS;

export interface Part {
  readonly name: string;
  readonly of: SceneKind;
  /** Images of each network. */
  readonly images: number;
  readonly methods: readonly AttributionName[];
  readonly settings: readonly Setting[];
}

/** Copies of the image with noise, and nothing else: crops of these scenes lose the trigger. */
export const COPIES: Copies = { samples: 64, augment: [gaussianNoise(0.1)] };

/** Images in a job: a network's chunk shares what does not hang on the image. */
export const CHUNK = 4;

/** Ratios found by `npm run spade -- tune`: one set for all methods, and one a method. */
export interface TunedRatios {
  readonly one: Readonly<Record<string, number>>;
  readonly byMethod: { readonly [Name in AttributionName]?: Readonly<Record<string, number>> };
}

/** The setting whose rows are the experiment's. */
export const MAIN_SETTING = "tuned by method";
export const ALL_SETTING = "tuned for all";
export const UNIFORM_SETTING = "uniform 0.5";
export const SMALL_SETTING = "small layers 0.5";

export const PARTS = {
  main: "main",
  exact: "exact solver",
  dear: "dear methods",
  small: "small layers",
  clean: "clean images",
} as const;

export interface PlanOptions {
  /** Images of each network. */
  readonly images: number;
  /** Images for the methods that take hundreds of passes, the small layers, and clean images. */
  readonly dearImages: number;
  /** For each solver. */
  readonly tuned: Readonly<Record<TunedSolver, TunedRatios>>;
  /** The layers that are pruned of at most 300 inputs. */
  readonly smallLayers: readonly string[];
}

/** The parts in which there is anything to do. */
export function planOf({ images, dearImages, tuned, smallLayers }: PlanOptions): Part[] {
  const common = { of: "evaluation" } as const;
  const byMethod = (solver: TunedSolver, variants: Setting["variants"]): Setting => ({
    name: MAIN_SETTING,
    copies: COPIES,
    ratios: { all: tuned[solver].one, ...tuned[solver].byMethod },
    variants,
  });
  const forAll = (solver: TunedSolver, variants: Setting["variants"]): Setting => ({
    name: ALL_SETTING,
    copies: COPIES,
    ratios: { all: tuned[solver].one },
    variants,
  });
  const controls = ["fastspade", "otherSample", "magnitude", "random"] as const;
  const small: Ratios = Object.fromEntries(smallLayers.map((name) => [name, 0.5]));
  const parts: Part[] = [
    {
      ...common,
      name: PARTS.main,
      images,
      methods: CHEAP_METHODS,
      settings: [
        byMethod("fastspade", controls),
        forAll("fastspade", ["fastspade", "spade"]),
        { name: UNIFORM_SETTING, copies: COPIES, ratios: { all: 0.5 }, variants: ["fastspade"] },
      ],
    },
    {
      ...common,
      name: PARTS.exact,
      images,
      methods: CHEAP_METHODS,
      settings: [byMethod("spade", ["spade"]), forAll("spade", ["spade"])],
    },
    {
      ...common,
      name: PARTS.dear,
      images: dearImages,
      methods: DEAR_METHODS,
      settings: [{ ...forAll("fastspade", controls), name: MAIN_SETTING }],
    },
    {
      ...common,
      name: PARTS.clean,
      images: dearImages,
      methods: CHEAP_METHODS.filter((method) => PAPER_METHODS.includes(method)),
      settings: [forAll("fastspade", ["fastspade"])],
    },
    {
      ...common,
      name: PARTS.small,
      images: dearImages,
      methods: CHEAP_METHODS,
      settings: [
        { name: SMALL_SETTING, copies: COPIES, ratios: { all: small }, variants: ["spade", "fastspade"] },
      ],
    },
  ];
  return parts.filter((part) => part.images > 0);
}
