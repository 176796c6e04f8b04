// Which images are in, which are out, and from where.
import { collages, sample, shapes, textures } from "handgrad/atd";
import { type Dataset, loadFashion, loadMnist } from "handgrad/data";

/**
 * Bag and Ankle boot, the last two classes, are held out of everything: no network, detector or selection ever
 * sees one. They are the hard test set; the labels of the others stay 0 to 7.
 */
export const IN_CLASSES = 8;

/** In-distribution images that choose an epoch. */
export const VALIDATION = 250;

/** The test sets that are out. */
export type TestOut = "easy" | "hard" | "noise";
export const TEST_OUTS: readonly TestOut[] = ["easy", "hard", "noise"];

export interface AtdData {
  /** In: training images of the eight classes. */
  readonly train: Dataset;
  readonly validationIn: Dataset;
  /** Out, of other sources than the test sets: collages of training images, and drawn shapes. */
  readonly open: Dataset;
  readonly validationOut: Dataset;
  readonly testIn: Dataset;
  /** Digits; images of the held-out classes; noise and texture. */
  readonly testOut: Readonly<Record<TestOut, Dataset>>;
}

/** All sets of a seed. @param test images of each test set */
export async function loadAtdData({ seed, test = 500 }: { seed: number; test?: number }): Promise<AtdData> {
  const fashion = await loadFashion();
  const isIn = (label: number): boolean => label < IN_CLASSES;
  const known = classesWhere(fashion.train, isIn);
  const [validationIn, train] = known.split([VALIDATION, known.count - VALIDATION], {
    seed,
    stratified: true,
  });
  // Held out means out of training altogether, so their training images serve as test images, too.
  const held = classesWhere(fashion.train, (label) => !isIn(label));
  return {
    train,
    validationIn,
    // Made when it is asked for: tests and tables need none.
    get open() {
      return collages(train, { count: train.count, seed });
    },
    validationOut: shapes({ count: VALIDATION, seed }),
    testIn: sample(classesWhere(fashion.test, isIn), test, seed),
    testOut: {
      easy: sample(await loadMnist(), test, seed),
      hard: sample(held, test, seed),
      noise: textures({ count: test, seed }),
    },
  };
}

function classesWhere(set: Dataset, keep: (label: number) => boolean): Dataset {
  return set.subset(Array.from(set.labels.keys()).filter((index) => keep(set.labels[index])));
}
