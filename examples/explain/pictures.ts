// Draws the pictures of docs/explain.md: every attribution of one image, the ways to show a map, and what
// classes look for.
//   node build.mjs run examples/explain/pictures.ts --help
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Gpu, HandgradError, openGpu, type Tensor, tensor } from "handgrad";
import { fashionClassNames, DeviceSet, loadFashion } from "handgrad/data";
import {
  type AttributeOptions,
  alphaScaled,
  attribute,
  attributionNames,
  blendedHeatMap,
  heatMap,
  hostMaps,
  maskedImage,
  pictureSheet,
  plainImage,
  visualize,
} from "handgrad/explain";
import { encodePng } from "handgrad/io";
import { loadModel, predictClasses, type Sequential, saveModel } from "handgrad/layers";
import { accuracy } from "handgrad/metrics";
import { startProgress } from "../start/progress.js";
import { wholeNumber } from "../start/options.js";
import { trainNet } from "./net.js";

const HELP = `node build.mjs run examples/explain/pictures.ts [options]

  --out FOLDER   where the pictures go (default out/explain)
  --model FILE   a network of Fashion-MNIST; trained and put there if it is missing
                 (default out/explain/net.safetensors)
  --epochs N     passes over the training images (default 3)
  --image N      the test image (default 0)
  --seed N       of weights, batches and draws (default 1)
  --adapter NAME hardware, software, swiftshader, lavapipe or part of a name (default: the best there is)
  --help         this text`;

const OPTIONS = {
  out: { type: "string", default: join("out", "explain") },
  model: { type: "string", default: join("out", "explain", "net.safetensors") },
  epochs: { type: "string", default: "3" },
  image: { type: "string", default: "0" },
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
  const epochs = wholeNumber("epochs", values.epochs, 1);
  const seed = wholeNumber("seed", values.seed, 0);
  const index = wholeNumber("image", values.image, 0);
  const gpu = await openGpu({ adapter: values.adapter });
  try {
    await mkdir(values.out, { recursive: true });
    const model = await netAt(gpu, values.model, epochs, seed);
    const { test } = await loadFashion();
    const image = tensor(gpu, imageOf(test.images, index), [1, 1, 28, 28]);
    const target = test.labels[index];
    const write = async (name: string, pixels: Parameters<typeof encodePng>[0]): Promise<void> => {
      await writeFile(join(values.out, name), await encodePng(pixels));
      console.log(`wrote ${join(values.out, name)}`);
    };
    await write("methods.png", await methodSheet(model, image, target, seed));
    await write("display.png", await displaySheet(model, image, target));
    await write("classes.png", await classSheet(model, seed));
  } finally {
    gpu.dispose();
  }
}

function imageOf(images: ArrayLike<number>, index: number): Float32Array {
  return Float32Array.from({ length: 784 }, (_, i) => images[784 * index + i] / 255);
}

/** Loads the network, or trains it and leaves it there. */
async function netAt(gpu: Gpu, file: string, epochs: number, seed: number): Promise<Sequential> {
  const bytes = await readFile(file).catch(() => undefined);
  if (bytes) return loadModel(gpu, bytes, { name: file }).model;
  const { train, test } = await loadFashion();
  const progress = startProgress("training");
  const model = await trainNet(gpu, train, { epochs, seed }, (share, loss) =>
    progress.update(share, `loss ${loss.toFixed(3)}`),
  ).finally(progress.stop);
  const set = new DeviceSet(gpu, test);
  console.log(
    `test accuracy ${(100 * accuracy(await predictClasses(model, set), test.labels)).toFixed(1)} %`,
  );
  set.dispose();
  await writeFile(file, await saveModel(model, { seed: `${seed}`, epochs: `${epochs}` }));
  return model;
}

/** Each method's signed map, and its absolute map over the image. */
async function methodSheet(model: Sequential, image: Tensor, target: number, seed: number) {
  const [picture] = await hostMaps(image);
  const cells = [
    { label: fashionClassNames[target], pictures: [plainImage(picture, { zoom: 4 }), undefined] },
  ];
  for (const method of attributionNames) {
    const options = { method, target, seed, sign: "signed" } as AttributeOptions;
    const maps = await attribute(model, image, options);
    const [map] = await hostMaps(maps);
    maps.dispose();
    const shown = { zoom: 4, sign: "absolute" } as const;
    cells.push({ label: method, pictures: [heatMap(map, { zoom: 4 }), blendedHeatMap(picture, map, shown)] });
  }
  // Three methods a row.
  const rows = Array.from({ length: Math.ceil(cells.length / 3) }, (_, row) => {
    const part = cells.slice(3 * row, 3 * row + 3);
    return {
      pictures: part.flatMap(({ pictures }) => pictures),
      captions: part.flatMap(({ label }) => [label, undefined]),
    };
  });
  return pictureSheet(rows, { textZoom: 1 });
}

/** The ways to show one map. */
async function displaySheet(model: Sequential, image: Tensor, target: number) {
  const [picture] = await hostMaps(image);
  const maps = await attribute(model, image, { method: "lrp", target, rule: "gamma" });
  const [map] = await hostMaps(maps);
  maps.dispose();
  const zoom = 4;
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
      {
        pictures: signs.map((sign) => heatMap(map, { zoom, sign })),
        captions: signs,
      },
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
async function classSheet(model: Sequential, seed: number) {
  const pictures: ReturnType<typeof plainImage>[] = [];
  for (const [target, name] of fashionClassNames.entries()) {
    const progress = startProgress(`what "${name}" looks for`);
    const images = await visualize(model, {
      shape: [1, 28, 28],
      target,
      steps: 128,
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
