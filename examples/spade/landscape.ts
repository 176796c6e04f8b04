// `npm run spade -- landscape`: what the gain hangs on: width, ratios, kinds of copies, solver, how faint the triggers are.
import type { Gpu } from "handgrad";
import { gaussianNoise, resizedCrop, shift } from "handgrad/spade";
import type { Copies, Setting } from "./chunk.js";
import { CHEAP_METHODS, methodOptions, PAPER_METHODS } from "./methods.js";
import { layersOf, type Net, widthOf } from "./nets.js";
import { type PartsCommand, runParts } from "./parts.js";
import { CHUNK, COPIES, FAINT, type Part } from "./plan.js";
import { type PartRow, readTables, rowsOf, secondsOf } from "./summary.js";

export const LANDSCAPE = "landscape";

export interface LandscapeCommand extends PartsCommand {
  /** Of each width, in equal parts of its networks. */
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
  /** What `npm run spade -- tune` found in the third network of width 16. */
  tuned: [0, 0.5, 0.8, 0.8, 0.8, 0.8],
} as const;

/** Those of the paper's that take a few passes, without gradient SHAP, the dearest and noisiest of them. */
const METHODS = CHEAP_METHODS.filter((method) => PAPER_METHODS.includes(method) && method !== "gradientShap");

/** Runs this shard's jobs, as far as they are not done yet. */
export function runLandscape(gpu: Gpu, command: LandscapeCommand): Promise<void> {
  const { nets, seed, images } = command;
  const narrowest = Math.min(...nets.map(widthOf));
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
      faint: FAINT,
    },
    partsOf: (net) => {
      const width = widthOf(net.name);
      const share = nets.filter((name) => widthOf(name) === width).length;
      return landscapeOf(net, Math.ceil(images / share), width === narrowest);
    },
  });
}

/** Every network with every ratios; copies and fainter triggers in the narrowest, which cost least. */
function landscapeOf(net: Net, images: number, whole: boolean): Part[] {
  const layers = layersOf(net);
  const settingOf = (
    ratios: readonly number[],
    { name = "", copies = COPIES }: { name?: string; copies?: Copies } = {},
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
    variants: ["fastspade"],
  });
  const part = (name: string, of: Part["of"], settings: readonly Setting[]): Part => ({
    name,
    of,
    images,
    methods: METHODS,
    settings,
  });
  const usual = Object.values(RATIOS).map((ratios) => settingOf(ratios));
  if (!whole) return [part("usual triggers", "evaluation", usual)];
  const others = Object.entries(OTHER_COPIES).map(([name, copies]) =>
    settingOf(RATIOS.ramp, { name, copies }),
  );
  return [
    part("usual triggers", "evaluation", [...usual, ...others]),
    part("fainter triggers", "faint", [settingOf(RATIOS.ramp), settingOf(RATIOS.tuned)]),
  ];
}

/** Rows of all networks of a width. */
export interface LandscapeRow extends Omit<PartRow, "net"> {
  readonly width: number;
}

export interface LandscapeJson {
  readonly nets: readonly {
    readonly name: string;
    readonly width: number;
    readonly cleanAccuracy: number;
    readonly attackSuccess: number;
  }[];
  readonly rows: readonly LandscapeRow[];
  readonly seconds: Readonly<Record<string, number>>;
  readonly settings: unknown;
  readonly adapter: string;
}

/** What landscape.json holds, from the checkpoints of all shards. */
export function summarizeLandscape(files: readonly string[]): LandscapeJson {
  const { settings, about, tables } = readTables(files, (net, part) => `${widthOf(net)} ${part}`);
  const rows = [...tables].flatMap(([name, table]) => {
    const at = name.indexOf(" ");
    return rowsOf(name.slice(at + 1), "all", table).map(
      ({ net, ...row }): LandscapeRow => ({ width: Number(name.slice(0, at)), ...row }),
    );
  });
  return {
    nets: about.nets.map(({ name, figures: { cleanAccuracy, attackSuccess } }) => ({
      name,
      width: widthOf(name),
      cleanAccuracy,
      attackSuccess,
    })),
    rows,
    seconds: secondsOf(tables.values()),
    settings,
    adapter: about.adapter,
  };
}
