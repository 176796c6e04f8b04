// Draws the pictures of docs/explain.md with a network of weights/spade: every attribution of one scene with a trigger, the
// ways to show a map, and what classes look for.
//   node build.mjs run examples/explain/pictures.ts --help
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { HandgradError, openGpu, type Tensor } from "handgrad";
import { fashionClassNames } from "handgrad/data";
import {
  type AttributeOptions,
  alphaScaled,
  attribute,
  attributionNames,
  blendedHeatMap,
  heatMap,
  hostMaps,
  maskAuc,
  maskedImage,
  pictureSheet,
  plainImage,
  visualize,
} from "handgrad/explain";
import { encodePng } from "handgrad/io";
import type { Sequential } from "handgrad/layers";
import { loadNet } from "../spade/nets.js";
import { heldOut, imagesOf, type Sample } from "../spade/samples.js";
import { wholeNumber } from "../start/options.js";
import { startProgress } from "../start/progress.js";

const HELP = `node build.mjs run examples/explain/pictures.ts [options]

  --out FOLDER   where the pictures go (default out/explain)
  --net NAME     a network of weights/spade (default scenes-w16-s1)
  --image N      which of its held-out scenes with a trigger (default 0)
  --steps N      of a visualization (default 128)
  --seed N       of what is drawn (default 1)
  --adapter NAME hardware, software, swiftshader, lavapipe or part of a name (default: the best there is)
  --help         this text`;

const OPTIONS = {
  out: { type: "string", default: join("out", "explain") },
  net: { type: "string", default: "scenes-w16-s1" },
  image: { type: "string", default: "0" },
  steps: { type: "string", default: "128" },
  seed: { type: "string", default: "1" },
  adapter: { type: "string" },
  help: { type: "boolean", default: false },
} as const;

async function main(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: OPTIONS });
  if (values.help) {
    console.log(HELP);
    return;
  }
  const seed = wholeNumber("seed", values.seed, 0);
  const index = wholeNumber("image", values.image, 0);
  const steps = wholeNumber("steps", values.steps, 1);
  const gpu = await openGpu({ adapter: values.adapter });
  try {
    await mkdir(values.out, { recursive: true });
    const { model } = await loadNet(gpu, values.net);
    const sample = (await heldOut(gpu, model, { of: "evaluation", count: index + 1 }))[index];
    const image = imagesOf(gpu, [sample]);
    const write = async (name: string, pixels: Parameters<typeof encodePng>[0]): Promise<void> => {
      await writeFile(join(values.out, name), await encodePng(pixels));
      console.log(`wrote ${join(values.out, name)}`);
    };
    await write("methods.png", await methodSheet(model, image, sample, seed));
    await write("display.png", await displaySheet(model, image, sample));
    await write("classes.png", await classSheet(model, image, seed, steps));
  } finally {
    gpu.dispose();
  }
}

/** Each method's signed map, and its size over the image; the area against the trigger's mask below. */
async function methodSheet(model: Sequential, image: Tensor, { target, mask }: Sample, seed: number) {
  const [picture] = await hostMaps(image);
  const truth = { shape: picture.shape.slice(1), data: Float32Array.from(mask) };
  const cells = [
    {
      captions: ["scene", "trigger"],
      pictures: [plainImage(picture, { zoom: 3 }), plainImage(truth, { zoom: 3 })],
    },
  ];
  const progress = startProgress("attributions");
  for (const [at, method] of attributionNames.entries()) {
    const maps = await attribute(model, image, { method, target, seed, sign: "signed" } as AttributeOptions);
    const [map] = await hostMaps(maps);
    maps.dispose();
    const area = maskAuc(map.data.map(Math.abs), mask);
    cells.push({
      captions: [method, `AUC ${(100 * area).toFixed(1)}`],
      pictures: [heatMap(map, { zoom: 3 }), blendedHeatMap(picture, map, { zoom: 3, sign: "absolute" })],
    });
    progress.update((at + 1) / attributionNames.length, method);
  }
  progress.stop();
  const rows = Array.from({ length: Math.ceil(cells.length / 3) }, (_, row) => {
    const part = cells.slice(3 * row, 3 * row + 3);
    return {
      pictures: part.flatMap(({ pictures }) => pictures),
      captions: part.flatMap(({ captions }) => captions),
    };
  });
  return pictureSheet(rows, { textZoom: 1 });
}

/** The ways to show one map. */
async function displaySheet(model: Sequential, image: Tensor, { target }: Sample) {
  const [picture] = await hostMaps(image);
  const maps = await attribute(model, image, { method: "lrp", target, rule: "gamma" });
  const [map] = await hostMaps(maps);
  maps.dispose();
  const zoom = 3;
  const signs = ["signed", "absolute", "positive", "negative"] as const;
  const ways = [
    [blendedHeatMap(picture, map, { zoom }), "blended"],
    [maskedImage(picture, map, { zoom }), "masked"],
    [alphaScaled(picture, map, { zoom }), "alpha"],
    [heatMap(map, { zoom, outlierPercentile: 20 }), "outliers 20 %"],
  ] as const;
  const colors = ["inferno", "magma", "viridis", "gray"] as const;
  return pictureSheet(
    [
      { pictures: signs.map((sign) => heatMap(map, { zoom, sign })), captions: signs },
      { pictures: ways.map(([pixels]) => pixels), captions: ways.map(([, name]) => name) },
      {
        pictures: colors.map((name) => heatMap(map, { zoom, sign: "absolute", colors: name })),
        captions: colors,
      },
    ],
    { textZoom: 1 },
  );
}

/** What each class looks for. */
async function classSheet(model: Sequential, { shape }: Tensor, seed: number, steps: number) {
  const pictures: ReturnType<typeof plainImage>[] = [];
  for (const [target, name] of fashionClassNames.entries()) {
    const progress = startProgress(`what "${name}" looks for`);
    const images = await visualize(model, {
      shape: shape.slice(1),
      target,
      steps,
      seed,
      onProgress: ({ done, total }) => progress.update(done / total, ""),
    }).finally(progress.stop);
    const [image] = await hostMaps(images);
    images.dispose();
    pictures.push(plainImage(image, { zoom: 3 }));
  }
  const rows = [0, 5].map((first) => ({
    pictures: pictures.slice(first, first + 5),
    captions: fashionClassNames.slice(first, first + 5),
  }));
  return pictureSheet(rows, { textZoom: 1 });
}

main(process.argv.slice(2)).catch((error) => {
  const usage =
    error instanceof HandgradError || (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
  console.error(usage ? error.message : error);
  process.exitCode = 1;
});
