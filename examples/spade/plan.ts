// What the experiment does: its parts, each some images, methods and settings.
import type { AttributionName } from "handgrad/explain";
import { gaussianNoise, type Ratios, resizedCrop, shift } from "handgrad/spade";
import type { Copies, MethodRatios, Setting } from "./chunk.js";
import { CHEAP_METHODS, DEAR_METHODS, PAPER_METHODS } from "./methods.js";

export interface Part {
  readonly name: string;
  /** Where the images come from: those for tuning are of other items, and so are those with fainter triggers. */
  readonly of: "evaluation" | "tuning" | "faint";
  /** Images of each network. */
  readonly images: number;
  readonly methods: readonly AttributionName[];
  readonly copies: Copies;
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

/** The settings whose rows are the experiment's; the others are its landscape. */
export const MAIN_SETTING = "tuned by method";
export const EXACT_SETTING = "small layers 0.5";

export const PARTS = {
  main: "main",
  dear: "dear methods",
  exact: "exact solver",
  clean: "clean images",
} as const;

export interface PlanOptions {
  /** Images of each network. */
  readonly images: number;
  /** Images for the methods and the solver that take hundreds of times as long. */
  readonly dearImages: number;
  /** Tuning images of each network for the landscape. */
  readonly landscapeImages: number;
  readonly tuned: TunedRatios;
  /** The layers that are pruned, from the input up. */
  readonly layers: readonly string[];
  /** Those of at most 300 inputs, which the exact solver takes. */
  readonly smallLayers: readonly string[];
}

/** The parts in which there is anything to do. */
export function planOf(options: PlanOptions): Part[] {
  const { images, dearImages, tuned, smallLayers } = options;
  const common = { of: "evaluation", copies: COPIES } as const;
  const main: Setting = {
    name: MAIN_SETTING,
    ratios: { all: tuned.one, ...tuned.byMethod },
    variants: ["fastspade", "otherSample", "magnitude", "random"],
  };
  const small: Ratios = Object.fromEntries(smallLayers.map((name) => [name, 0.5]));
  const parts: Part[] = [
    {
      ...common,
      name: PARTS.main,
      images,
      methods: CHEAP_METHODS,
      settings: [
        main,
        { name: "tuned for all", ratios: { all: tuned.one }, variants: ["fastspade"] },
        { name: "uniform 0.5", ratios: { all: 0.5 }, variants: ["fastspade"] },
      ],
    },
    {
      ...common,
      name: PARTS.dear,
      images: dearImages,
      methods: DEAR_METHODS,
      settings: [{ ...main, ratios: { all: tuned.one } }],
    },
    {
      ...common,
      name: PARTS.exact,
      images: dearImages,
      methods: CHEAP_METHODS,
      settings: [{ name: EXACT_SETTING, ratios: { all: small }, variants: ["spade", "fastspade"] }],
    },
    {
      ...common,
      name: PARTS.clean,
      images: dearImages,
      methods: CHEAP_METHODS.filter((method) => PAPER_METHODS.includes(method)),
      settings: [{ name: "tuned for all", ratios: { all: tuned.one }, variants: ["fastspade"] }],
    },
    ...landscapeOf(options),
  ];
  return parts.filter((part) => part.images > 0);
}

/** Kinds of copies, by name. */
const COPY_KINDS: Readonly<Record<string, Copies>> = {
  "the image alone": { samples: 1, augment: [] },
  "noise 0.03": { samples: 64, augment: [gaussianNoise(0.03)] },
  "noise 0.1": COPIES,
  "noise 0.2": { samples: 64, augment: [gaussianNoise(0.2)] },
  "shifts by 2": { samples: 64, augment: [shift(2)] },
  crops: { samples: 64, augment: [resizedCrop({ area: [0.5, 1] })] },
};

/** Untuned ratios over kinds of copies, on tuning images: all ratios with the usual copies, two with the others. */
function landscapeOf({ landscapeImages, layers }: PlanOptions): Part[] {
  const settings = Object.entries(ratiosToTry(layers)).map(
    ([name, ratios]): Setting => ({ name, ratios: { all: ratios }, variants: ["fastspade"] }),
  );
  const few = settings.filter(({ name }) => SHOWN_FOR_ALL_COPIES.includes(name));
  const usual = { images: landscapeImages, methods: CHEAP_METHODS } as const;
  const faint: Part = {
    ...usual,
    name: "landscape, fainter triggers",
    of: "faint",
    copies: COPIES,
    settings: few,
  };
  const parts = Object.entries(COPY_KINDS).map(
    ([kind, copies]): Part => ({
      ...usual,
      name: `landscape, ${kind}`,
      of: "tuning",
      copies,
      settings: copies === COPIES ? settings : few,
    }),
  );
  return [...parts, faint];
}

/** Weights of the pattern in fainter triggers; the networks were trained on 0.55 to 0.7. */
export const FAINT: readonly [number, number] = [0.4, 0.5];

const SHOWN_FOR_ALL_COPIES: readonly string[] = ["upper half 0.8", "ramp to 0.9"];

/** Ratios by shape: all layers, the upper half, a ramp; at two strengths. */
function ratiosToTry(layers: readonly string[]): Record<string, MethodRatios["all"]> {
  const byDepth = (ratioAt: (share: number) => number): Ratios =>
    Object.fromEntries(
      layers.map((name, at) => [name, Number(ratioAt((at + 1) / layers.length).toFixed(2))]),
    );
  return {
    "all 0.5": byDepth(() => 0.5),
    "all 0.8": byDepth(() => 0.8),
    "upper half 0.8": byDepth((depth) => (depth > 0.5 ? 0.8 : 0)),
    "upper half 0.9": byDepth((depth) => (depth > 0.5 ? 0.9 : 0)),
    "ramp to 0.9": byDepth((depth) => 0.9 * Math.sqrt(depth)),
  };
}
