// `npm run spade -- landscape`: what the gain hangs on: width, depth, ratios, solver, kinds of copies, triggers, clutter.
import type { Gpu } from "handgrad";
import { gaussianNoise, resizedCrop, shift } from "handgrad/spade";
import type { Copies, Setting } from "./chunk.js";
import { CHEAP_METHODS, methodOptions, PAPER_METHODS } from "./methods.js";
import { layersOf, type Net, type NetSize, sizeOf, USUAL_DEPTH } from "./nets.js";
import { type PartsCommand, runParts } from "./parts.js";
import { CHUNK, COPIES, type Part, SCENE_KINDS } from "./plan.js";
import { type PartRow, readTables, rowsOf, secondsOf } from "./summary.js";

export const LANDSCAPE = "landscape";

export interface LandscapeCommand extends PartsCommand {
  /** Of each size, in equal parts of its networks. */
  readonly images: number;
}

/** Kinds of copies beside the usual ones, by name. */
const OTHER_COPIES: Readonly<Record<string, Copies>> = {
  "the image alone": { samples: 1, augment: [] },
  "noise 0.05": { samples: 64, augment: [gaussianNoise(0.05)] },
  "noise 0.2": { samples: 64, augment: [gaussianNoise(0.2)] },
  "shifts by 2": { samples: 64, augment: [shift(2)] },
  crops: { samples: 64, augment: [resizedCrop({ area: [0.5, 1] })] },
};

/** Ratios from the first layer that is pruned to the last; stretched over more or fewer layers. */
const RATIOS = {
  all: [0.5, 0.5, 0.5, 0.5, 0.5, 0.5],
  upper: [0, 0, 0, 0.9, 0.9, 0.9],
  ramp: [0.5, 0.5, 0.8, 0.9, 0.9, 0.8],
  /** What a search on eight scenes found in the third network of width 16 before its second training cycle. */
  tuned: [0, 0.5, 0.8, 0.8, 0.8, 0.8],
} as const;

/** Inputs of the largest layer up to which the exact solver is asked, too: its time grows with their third power. */
const EXACT_MOST = 600;

/** Those of the paper's that take a few passes, without gradient SHAP, the dearest and noisiest of them. */
const METHODS = CHEAP_METHODS.filter((method) => PAPER_METHODS.includes(method) && method !== "gradientShap");

/** Runs this shard's jobs, as far as they are not done yet. */
export function runLandscape(gpu: Gpu, command: LandscapeCommand): Promise<void> {
  const { nets, seed, images } = command;
  const usual = nets.filter((name) => sizeOf(name).depth === USUAL_DEPTH);
  const narrowest = Math.min(...(usual.length > 0 ? usual : nets).map((name) => sizeOf(name).width));
  return runParts(gpu, command, {
    name: LANDSCAPE,
    settings: {
      nets,
      seed,
      chunk: CHUNK,
      copies: { usual: COPIES, ...OTHER_COPIES },
      ratios: RATIOS,
      methods: METHODS,
      options: methodOptions("saliency"),
      kinds: SCENE_KINDS,
    },
    partsOf: (net) => {
      const size = sizeOf(net.name);
      const share = nets.filter((name) => isSame(sizeOf(name), size)).length;
      const whole = size.width === narrowest && (size.depth === USUAL_DEPTH || usual.length === 0);
      return landscapeOf(net, Math.ceil(images / share), whole);
    },
  });
}

const isSame = (one: NetSize, other: NetSize): boolean =>
  one.width === other.width && one.depth === other.depth;

/** Every network with every ratios; copies, triggers and clutter in the narrowest of the usual depth. */
function landscapeOf(net: Net, images: number, whole: boolean): Part[] {
  const layers = layersOf(net);
  const settingOf = (
    ratios: readonly number[],
    { name = "", copies = COPIES, variants = ["fastspade"] }: Partial<Omit<Setting, "ratios">> = {},
  ): Setting => ({
    name: `${ratios.join(" ")}${name && `, ${name}`}`,
    copies,
    ratios: {
      all: Object.fromEntries(
        layers.map((layer, at): [string, number] => [
          layer,
          ratios[Math.floor((at * ratios.length) / layers.length)],
        ]),
      ),
    },
    variants,
  });
  const part = (name: string, of: Part["of"], settings: readonly Setting[]): Part => ({
    name,
    of,
    images,
    methods: METHODS,
    settings,
  });
  const exact = layersOf(net, EXACT_MOST).length === layers.length;
  const variants: Setting["variants"] = exact ? ["fastspade", "spade"] : ["fastspade"];
  const usual = Object.values(RATIOS).map((ratios) => settingOf(ratios, { variants }));
  if (!whole) return [part("usual triggers", "evaluation", usual)];
  const others = Object.entries(OTHER_COPIES).map(([name, copies]) =>
    settingOf(RATIOS.ramp, { name, copies }),
  );
  return [
    part("usual triggers", "evaluation", [...usual, ...others]),
    part("fainter triggers", "faint", [settingOf(RATIOS.ramp), settingOf(RATIOS.tuned)]),
    part("brighter clutter", "bright", [settingOf(RATIOS.ramp), settingOf(RATIOS.tuned)]),
  ];
}

/** Rows of all networks of a size. */
export interface LandscapeRow extends Omit<PartRow, "net">, NetSize {}

export interface LandscapeJson {
  readonly nets: readonly ({
    readonly name: string;
    readonly cleanAccuracy: number;
    readonly attackSuccess: number;
  } & NetSize)[];
  readonly rows: readonly LandscapeRow[];
  readonly seconds: Readonly<Record<string, number>>;
  readonly settings: unknown;
  readonly adapter: string;
}

/** What landscape.json holds, from the checkpoints of all shards. */
export function summarizeLandscape(files: readonly string[]): LandscapeJson {
  const { settings, about, tables } = readTables(files, (net, part) =>
    JSON.stringify({ ...sizeOf(net), part }),
  );
  const rows = [...tables].flatMap(([key, table]) => {
    const { part, ...size } = JSON.parse(key) as NetSize & { part: string };
    return rowsOf(part, "all", table).map(({ net, ...row }): LandscapeRow => ({ ...size, ...row }));
  });
  return {
    nets: about.nets.map(({ name, figures: { cleanAccuracy, attackSuccess } }) => ({
      name,
      ...sizeOf(name),
      cleanAccuracy,
      attackSuccess,
    })),
    rows,
    seconds: secondsOf(tables.values()),
    settings,
    adapter: about.adapter,
  };
}
