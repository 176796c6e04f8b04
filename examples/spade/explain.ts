// `npm run spade -- explain`: your own model on your own image, dense and in its trace.
import { readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { type Gpu, type Tensor, tensor, ValueError } from "handgrad";
import {
  type AttributeOptions,
  type AttributionName,
  attribute,
  attributionNames,
  blendedHeatMap,
  heatMap,
  hostMaps,
  mapsToJson,
  mapsToNpy,
  pictureSheet,
  plainImage,
  type SheetRow,
  type Sign,
} from "handgrad/explain";
import { decodePng, encodePng, type HostArray, pixelsToArray } from "handgrad/io";
import { Conv2d, loadModel, type Sequential } from "handgrad/layers";
import { gaussianNoise, type Ratios, type SolverName, traceOf, type Trace } from "handgrad/spade";
import { startProgress } from "../start/progress.js";
import { printTable } from "../start/table.js";
import { wholeNumber } from "../start/options.js";

const SOLVERS: readonly SolverName[] = ["fastspade", "spade", "magnitude", "random", "selection"];
const SIGNS: readonly Sign[] = ["signed", "absolute", "positive", "negative"];

export const EXPLAIN_HELP = `npm run spade -- explain --model FILE --image FILE [options]

  --model FILE   safetensors of saveModel(), on images of 1 or 3 channels
  --image FILE   PNG of the size that the network takes
  --target N     the class that is explained (default what the network predicts)
  --methods LIST with commas (default saliency,inputXGradient,integratedGradients,lrp); there are
                 ${attributionNames.slice(0, 7).join(", ")},
                 ${attributionNames.slice(7).join(", ")}
  --ratio R      share of weights to remove (default 0.5)
  --ratios JSON  by layer instead, such as {"7":0.5,"10":0.8}, or a file of \`tune\`
  --solver NAME  ${SOLVERS.join(", ")} (default fastspade)
  --samples N    copies of the image with noise (default 64; 16 with --quick)
  --noise S      their standard deviation, of pixels from 0 to 1 (default 0.1)
  --sign NAME    ${SIGNS.join(", ")} (default signed)
  --outliers P   share of a map's sum that the brightest pixels are cut by, percent (default 2)`;

export const EXPLAIN_OPTIONS = {
  model: { type: "string" },
  image: { type: "string" },
  target: { type: "string" },
  methods: { type: "string", default: "saliency,inputXGradient,integratedGradients,lrp" },
  ratio: { type: "string", default: "0.5" },
  ratios: { type: "string" },
  solver: { type: "string", default: "fastspade" },
  samples: { type: "string" },
  noise: { type: "string", default: "0.1" },
  sign: { type: "string", default: "signed" },
  outliers: { type: "string", default: "2" },
} as const;

export interface ExplainCommand {
  readonly model: string;
  readonly image: string;
  readonly target?: number;
  readonly methods: readonly AttributionName[];
  readonly ratio: number;
  /** JSON or a file's name. */
  readonly ratios?: string;
  readonly solver: SolverName;
  readonly samples: number;
  readonly noise: number;
  readonly sign: Sign;
  readonly outliers: number;
  readonly seed: number;
  readonly out: string;
}

type Given = { readonly [Name in keyof typeof EXPLAIN_OPTIONS]?: string } & {
  readonly seed: string;
  readonly quick: boolean;
  readonly out: string;
};

/** @throws ValueError for an option that is missing or out of range */
export function readExplain(values: Given): ExplainCommand {
  const { model, image, target, ratios, out, quick } = values;
  if (model === undefined || image === undefined)
    throw new ValueError("explain takes --model FILE and --image FILE; see npm run spade -- explain --help");
  const number = (name: "ratio" | "noise" | "outliers", most: number): number => {
    const value = Number(values[name]);
    if (values[name]?.trim() !== "" && value >= 0 && value <= most) return value;
    throw new ValueError(`--${name} got "${values[name]}", and a number from 0 to ${most} is taken`);
  };
  const choice = <Name extends string>(name: string, given: string, known: readonly Name[]): Name => {
    const found = known.find((candidate) => candidate === given);
    if (found) return found;
    throw new ValueError(`--${name} got "${given}", and one of ${known.join(", ")} is taken`);
  };
  return {
    model,
    image,
    target: target === undefined ? undefined : wholeNumber("target", target, 0),
    methods: (values.methods ?? "").split(",").map((name) => choice("methods", name, attributionNames)),
    ratio: number("ratio", 1),
    ratios,
    solver: choice("solver", values.solver ?? "", SOLVERS),
    samples: wholeNumber("samples", values.samples ?? (quick ? "16" : "64"), 1),
    noise: number("noise", 10),
    sign: choice("sign", values.sign ?? "", SIGNS),
    outliers: number("outliers", 99),
    seed: wholeNumber("seed", values.seed, 0),
    out,
  };
}

/** Writes the sheet, the maps and what is known of the trace. */
export async function runExplain(gpu: Gpu, command: ExplainCommand): Promise<void> {
  const { methods, out, solver, samples, noise, seed } = command;
  const ratios = await readRatios(command);
  const model = await openModel(gpu, command.model);
  const image = await openImage(gpu, command.image, model);
  const progress = startProgress(basename(command.image));
  let trace: Trace | undefined;
  try {
    trace = await traceOf(model, image, {
      ratios,
      solver,
      samples,
      augment: noise > 0 ? [gaussianNoise(noise)] : [],
      seed,
      ...(command.target === undefined ? {} : { target: command.target }),
    });
    progress.update(0.5, "trace solved");
    const target = command.target ?? trace.prediction.dense;
    const [picture] = await hostMaps(image);
    const rows: SheetRow[] = [];
    for (const [done, method] of methods.entries()) {
      const pictures = [];
      for (const [name, network] of [["dense", model] as const, ["trace", trace.model] as const]) {
        const options = { method, target, seed, sign: "signed" } as AttributeOptions;
        const maps = await attribute(network, image, options);
        const stem = join(out, `${method}-${name}`);
        await writeFile(`${stem}.npy`, await mapsToNpy(maps));
        await writeFile(
          `${stem}.json`,
          `${JSON.stringify(await mapsToJson(maps, { method, target, network: name }))}\n`,
        );
        const [map] = await hostMaps(maps);
        maps.dispose();
        pictures.push(...picturesOf(picture, map, command));
      }
      rows.push({ label: method, pictures });
      progress.update(0.5 + (done + 1) / (2 * methods.length), method);
    }
    const columns = ["dense", "", "trace", ""];
    const zoom = zoomOf(picture);
    const first = { label: `class ${target}`, pictures: [plainImage(picture, { zoom })] };
    const sheet = join(out, "sheet.png");
    await writeFile(sheet, await encodePng(pictureSheet([first, ...rows], { columns })));
    progress.stop();
    report(trace, target);
    await writeFile(
      join(out, "explain.json"),
      `${JSON.stringify(factsOf(command, trace, target), null, 2)}\n`,
    );
    console.log(`\nsee ${sheet}, explain.json beside it, and an npy and a json file a map`);
  } finally {
    progress.stop();
    trace?.dispose();
    image.dispose();
    model.dispose();
  }
}

/** Pixels of a picture a pixel of the image: about 200 in all. */
const zoomOf = ({ shape }: HostArray): number => Math.max(1, Math.round(200 / (shape.at(-1) as number)));

function picturesOf(image: HostArray, map: HostArray, { sign, outliers }: ExplainCommand) {
  const options = { sign, outlierPercentile: outliers, zoom: zoomOf(image) };
  return [heatMap(map, options), blendedHeatMap(image, map, options)];
}

async function readRatios({ ratios, ratio }: ExplainCommand): Promise<Ratios> {
  if (ratios === undefined) return ratio;
  try {
    const text = ratios.trim().startsWith("{") ? ratios : await readFile(ratios, "utf8");
    const json = JSON.parse(text);
    return json.one ?? json;
  } catch (cause) {
    throw new ValueError(`--ratios got "${ratios}", which is neither JSON nor a file of it`, { cause });
  }
}

async function openModel(gpu: Gpu, file: string): Promise<Sequential> {
  const bytes = await readFile(file).catch((cause) => {
    throw new ValueError(`--model got "${file}", which cannot be read: ${cause.message}`, { cause });
  });
  return loadModel(gpu, bytes, { name: file }).model;
}

/** The image in as many channels as the first convolution reads; 1 if there is none. */
async function openImage(gpu: Gpu, file: string, model: Sequential): Promise<Tensor> {
  const first = model.layers.find((layer) => layer instanceof Conv2d);
  const channels = first?.config.inputs ?? 1;
  if (channels !== 1 && channels !== 3)
    throw new ValueError(`--model reads ${channels} channels, and a PNG has 1 or 3`);
  const bytes = await readFile(file).catch((cause) => {
    throw new ValueError(`--image got "${file}", which cannot be read: ${cause.message}`, { cause });
  });
  const { shape, data } = pixelsToArray(await decodePng(bytes, { name: file, channels }));
  const batch = [1, ...shape];
  model.outputShape(batch);
  return tensor(gpu, data, batch);
}

function report(trace: Trace, target: number): void {
  const { prediction, targetLogitChange } = trace;
  console.log(
    `class ${target}; the network predicts ${prediction.dense}, its trace ${prediction.trace}` +
      `${prediction.dense === prediction.trace ? "" : " (they disagree: read the trace's maps with care)"}; ` +
      `the class's logit changes by ${targetLogitChange.toFixed(2)}\n`,
  );
  printTable(
    ["layer", "weights", "removed", "reconstruction error"],
    trace.layers.map(({ name, weights, sparsity, reconstructionError }) => [
      name,
      String(weights),
      `${(100 * sparsity).toFixed(1)} %`,
      reconstructionError.toExponential(1),
    ]),
  );
}

function factsOf(command: ExplainCommand, trace: Trace, target: number) {
  const { layers, prediction, agreement, targetLogitChange, seconds } = trace;
  return { ...command, target, prediction, agreement, targetLogitChange, layers, seconds };
}
