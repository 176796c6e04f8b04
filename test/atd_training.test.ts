import { type Gpu, randomUniform, type Tensor, ValueError, FormatError } from "handgrad";
import {
  type AtdOptions,
  AtdTrainer,
  ClassifierTrainer,
  collages,
  discriminatorNetwork,
  extractorNetwork,
  FEATURES,
  type GeneratorMode,
  generatorNetwork,
  LATENT,
  pixelDiscriminatorNetwork,
  pixelGeneratorNetwork,
  shapes,
  textures,
} from "handgrad/atd";
import { Dataset, DeviceSet } from "handgrad/data";
import { activation, batchNorm, buildModel, dense, flatten, type Sequential } from "handgrad/layers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertRejects } from "./helpers/errors.js";
import { sharedGpu } from "./helpers/gpu.js";

const training = suite("atd training");

const SIDE = 8;
const PIXELS = SIDE * SIDE;
const EPSILON = 0.02;

/** Images of two classes: a bright left or a bright right half; out are those with a bright upper half. */
function halves(count: number, kind: "sides" | "upper", seed: number): Dataset {
  const images = new Float32Array(count * PIXELS);
  const labels = Uint32Array.from({ length: count }, (_, i) => i % 2);
  for (let i = 0; i < images.length; i++) {
    const [index, y, x] = [Math.floor(i / PIXELS), Math.floor((i % PIXELS) / SIDE), i % SIDE];
    const bright = kind === "upper" ? y < SIDE / 2 : x < SIDE / 2 === (labels[index] === 0);
    const noise = Math.abs(Math.sin(12.9898 * (i + 1) + 78.233 * seed) * 43758.5453) % 1;
    images[i] = (bright ? 0.7 : 0.2) + 0.25 * (noise - 0.5);
  }
  return new Dataset({ images, labels, shape: [1, SIDE, SIDE], classNames: ["left", "right"] });
}

interface Bench {
  readonly gpu: Gpu;
  readonly images: { train: DeviceSet; open: DeviceSet; validationIn: DeviceSet; validationOut: DeviceSet };
  readonly networks: () => { features: Sequential; discriminator: Sequential; generator: Sequential };
  dispose(): void;
}

async function bench(): Promise<Bench> {
  const gpu = await sharedGpu();
  const made: { dispose(): void }[] = [];
  const keep = <T extends { dispose(): void }>(item: T): T => {
    made.push(item);
    return item;
  };
  const set = (kind: "sides" | "upper", seed: number) => keep(new DeviceSet(gpu, halves(48, kind, seed)));
  const images = {
    train: set("sides", 1),
    open: set("upper", 2),
    validationIn: set("sides", 3),
    validationOut: set("upper", 4),
  };
  const networks = () => ({
    features: keep(buildModel(gpu, [flatten(), dense(PIXELS, 8), activation("relu")], { seed: 1 })),
    discriminator: keep(
      buildModel(gpu, [dense(8, 8), batchNorm(8), activation("leakyRelu", { slope: 0.2 }), dense(8, 1)], {
        seed: 2,
      }),
    ),
    generator: keep(
      buildModel(gpu, [dense(4, 8), batchNorm(8), activation("relu"), dense(8, 8)], { seed: 3 }),
    ),
  });
  return {
    gpu,
    images,
    networks,
    dispose: () => {
      for (const item of made) item.dispose();
    },
  };
}

const OPTIONS: AtdOptions = { epsilon: EPSILON, attackSteps: 3, batchSize: 16, epochs: 4, learningRate: 0.1 };

/** All bits of a network. */
async function bitsOf({ parameters, buffers }: Sequential): Promise<string> {
  const words = async (tensor: Tensor): Promise<string> => {
    const values = Float32Array.from(await tensor.data());
    return new Uint32Array(values.buffer).join();
  };
  const all = Object.entries({ ...parameters, ...buffers });
  return (await Promise.all(all.map(async ([name, tensor]) => `${name} ${await words(tensor)}`))).join("\n");
}

training("training goes on from a checkpoint with the same bits, the best epochs included", async () => {
  const { images, networks, dispose } = await bench();
  try {
    const whole = networks();
    const first = new AtdTrainer({ ...whole, latentShape: [4] }, images, OPTIONS);
    await first.epoch();
    await first.epoch();
    const checkpoint = await first.save();
    await first.epoch();
    await first.epoch();
    const again = networks();
    const second = new AtdTrainer({ ...again, latentShape: [4] }, images, OPTIONS);
    second.load(checkpoint);
    assert.is(second.epochsDone, 2);
    await second.epoch();
    await second.epoch();
    assert.equal(second.history, first.history, "losses and validation of all epochs");
    for (const name of ["discriminator", "generator"] as const)
      assert.is(await bitsOf(again[name]), await bitsOf(whole[name]), name);
    for (const by of ["clean", "attacked", "last"] as const) {
      first.select(by);
      second.select(by);
      assert.is(await bitsOf(again.discriminator), await bitsOf(whole.discriminator), by);
    }
    await assertRejects(() => second.epoch(), ValueError, /all 4 epochs are done/);
    const other = new AtdTrainer({ ...again, latentShape: [4] }, images, { ...OPTIONS, seed: 1 });
    assert.throws(
      () => other.load(checkpoint),
      (error: unknown) => error instanceof FormatError,
    );
    for (const trainer of [first, second, other]) trainer.dispose();
  } finally {
    dispose();
  }
});

training("D tells the open set apart, under attack too; the generator does what its mode says", async () => {
  const { images, networks, dispose } = await bench();
  try {
    const starts: string[] = [];
    const ends: Partial<Record<GeneratorMode, { weights: boolean; running: boolean }>> = {};
    for (const generator of ["trained", "frozen", "none"] as const) {
      const models = networks();
      const { weight } = { weight: models.generator.parameters["0.weight"] };
      const runningMean = models.generator.buffers["1.runningMean"];
      const before = { weight: (await weight.data()).join(), running: (await runningMean.data()).join() };
      starts.push(await bitsOf(models.features));
      const trainer = new AtdTrainer({ ...models, latentShape: [4] }, images, {
        ...OPTIONS,
        epochs: 8,
        generator,
      });
      while (trainer.epochsDone < trainer.epochs) await trainer.epoch();
      const last = trainer.history[trainer.epochs - 1];
      assert.ok((last.clean as number) > 0.95, `${generator}: clean ${JSON.stringify(trainer.history)}`);
      assert.ok((last.attacked as number) > 0.8, `${generator}: attacked ${JSON.stringify(trainer.history)}`);
      assert.ok((last.attacked as number) <= (last.clean as number));
      assert.is(last.lossG !== undefined, generator === "trained");
      ends[generator] = {
        weights: before.weight !== (await weight.data()).join(),
        running: before.running !== (await runningMean.data()).join(),
      };
      assert.is(await bitsOf(models.features), starts[0], "F stays");
      trainer.dispose();
    }
    assert.equal(ends, {
      trained: { weights: true, running: true },
      frozen: { weights: false, running: true },
      none: { weights: false, running: false },
    });
  } finally {
    dispose();
  }
});

training("every ablation trains, and another seed gives other numbers", async () => {
  const { images, networks, dispose } = await bench();
  try {
    const found = new Set<string>();
    const variants: Partial<AtdOptions>[] = [
      {},
      { seed: 5 },
      { attacked: "in" },
      { attacked: "out" },
      { attacked: "none" },
      { openSet: false },
      { attackFakes: true },
    ];
    for (const variant of variants) {
      const models = networks();
      const trainer = new AtdTrainer({ ...models, latentShape: [4] }, images, {
        ...OPTIONS,
        epochs: 1,
        ...variant,
      });
      const { lossD } = await trainer.epoch();
      assert.ok(Number.isFinite(lossD));
      found.add(await bitsOf(models.discriminator));
      trainer.dispose();
    }
    assert.is(found.size, variants.length, "no variant is another one by mistake");
  } finally {
    dispose();
  }
});

training("the form on pixels trains with fakes that are images", async () => {
  const { gpu, images, dispose } = await bench();
  const discriminator = buildModel(gpu, [flatten(), dense(PIXELS, 8), activation("relu"), dense(8, 1)]);
  const generator = buildModel(gpu, [dense(4, PIXELS), activation("sigmoid")], { seed: 3 });
  try {
    const pixels = {
      train: new DeviceSet(gpu, halves(48, "sides", 1), { flat: true }),
      open: new DeviceSet(gpu, halves(48, "upper", 2), { flat: true }),
    };
    const flatD = buildModel(gpu, [dense(PIXELS, 8), activation("relu"), dense(8, 1)], { seed: 4 });
    const trainer = new AtdTrainer({ discriminator: flatD, generator, latentShape: [4] }, pixels, {
      ...OPTIONS,
      attackFakes: true,
    });
    const epochs = [];
    while (trainer.epochsDone < trainer.epochs) epochs.push(await trainer.epoch());
    assert.ok(epochs[3].lossD < epochs[0].lossD);
    assert.is(epochs[3].clean, undefined, "no validation images, no AUROC");
    trainer.select("last");
    assert.throws(() => trainer.select("clean"), /nothing is kept by clean/);
    for (const item of [trainer, flatD, ...Object.values(pixels)]) item.dispose();
  } finally {
    for (const item of [discriminator, generator]) item.dispose();
    dispose();
    void images;
  }
});

training("the classifier's training goes on from a checkpoint with the same bits", async () => {
  const { gpu, images, dispose } = await bench();
  const network = () =>
    buildModel(gpu, [flatten(), dense(PIXELS, 8), activation("relu"), dense(8, 2)], { seed: 1 });
  const [whole, again] = [network(), network()];
  try {
    const options = { epsilon: EPSILON, attackSteps: 2, epochs: 2, batchSize: 16, learningRate: 0.02 };
    const first = new ClassifierTrainer(whole, images.train, options);
    await first.epoch();
    const checkpoint = await first.save();
    await first.epoch();
    const second = new ClassifierTrainer(again, images.train, options);
    second.load(checkpoint);
    await second.epoch();
    assert.equal(second.losses, first.losses);
    assert.is(await bitsOf(again), await bitsOf(whole));
    assert.ok(first.losses[1] < first.losses[0]);
    for (const trainer of [first, second]) trainer.dispose();
  } finally {
    for (const model of [whole, again]) model.dispose();
    dispose();
  }
});

training("options that do not go together are refused", async () => {
  const { images, networks, dispose } = await bench();
  try {
    const models = networks();
    const make = (options: Partial<AtdOptions>, sets: Partial<typeof images> = images) =>
      new AtdTrainer(
        { ...models, latentShape: [4] },
        { train: images.train, ...sets },
        {
          ...OPTIONS,
          ...options,
        },
      );
    assert.throws(() => make({ generator: "none", openSet: false }), /needs something that is out/);
    assert.throws(() => make({ generator: "none", attackFakes: true }), /no fakes to attack/);
    assert.throws(() => make({ alpha: 2 }), /alpha is 2/);
    assert.throws(() => make({ attacked: "all" as "both" }), /one of both, in, out, none/);
    assert.throws(() => make({}, {}), /there is no open set/);
  } finally {
    dispose();
  }
});

training("open sets come of the seed alone, in range, and the first images whatever the count", async () => {
  const gpu = await sharedGpu();
  const noise = randomUniform(gpu, [6, 1, 28, 28], { seed: 1 });
  const source = new Dataset({
    images: (await noise.data()) as Float32Array,
    labels: new Uint32Array(6),
    shape: [1, 28, 28],
    classNames: ["noise"],
  });
  noise.dispose();
  for (const make of [
    (count: number, seed: number) => collages(source, { count, seed }),
    (count: number, seed: number) => shapes({ count, seed }),
    (count: number, seed: number) => textures({ count, seed }),
  ]) {
    const [few, many, other] = [make(5, 1), make(9, 1), make(9, 2)];
    assert.equal(few.images, many.images.slice(0, few.images.length));
    assert.is.not(many.images.join(), other.images.join());
    assert.ok(many.images.every((value: number) => value >= 0 && value <= 1));
  }
  // A collage of one image holds its very pixels, each quarter in another place.
  const one = source.subset([0]);
  const collage = collages(one, { count: 1, seed: 1 });
  assert.equal([...collage.images].sort(), [...one.images].sort());
  assert.is.not(collage.images.join(), one.images.join());
  const wide = new Dataset({
    images: new Float32Array(6),
    labels: new Uint32Array(1),
    shape: [1, 2, 3],
    classNames: ["a"],
  });
  assert.throws(() => collages(wide, { count: 1, seed: 1 }), /even s/);
});

training("networks have the shapes that they are for", async () => {
  const gpu = await sharedGpu();
  for (const [layers, input, output] of [
    [extractorNetwork(8), [2, 1, 28, 28], [2, 8]],
    [discriminatorNetwork(), [2, FEATURES], [2, 1]],
    [generatorNetwork(), [2, LATENT], [2, FEATURES]],
    [pixelDiscriminatorNetwork(), [2, 1, 28, 28], [2, 1]],
    [pixelGeneratorNetwork(), [2, LATENT, 1, 1], [2, 1, 28, 28]],
  ] as const) {
    const model = buildModel(gpu, layers);
    assert.equal(model.outputShape(input), output);
    model.dispose();
  }
  assert.throws(() => extractorNetwork(1), /classes is 1/);
});

training.run();
