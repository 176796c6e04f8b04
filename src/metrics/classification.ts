import { ShapeError, ValueError } from "../gpu/errors.js";

/** A list of numbers of any kind. */
export type Numbers = ArrayLike<number>;

/** Checks that two lists are of the same length and not empty. */
export function checkPaired(a: Numbers, aName: string, b: Numbers, bName: string): void {
  if (a.length !== b.length) {
    throw new ShapeError(
      `${aName} has ${a.length} numbers and ${bName} ${b.length}, but equally many are taken`,
    );
  }
  if (a.length === 0) {
    throw new ValueError(`${aName} and ${bName} are empty; give at least one number each`);
  }
}

function checkClasses(classes: Numbers, name: string, classCount = Number.POSITIVE_INFINITY): void {
  for (let i = 0; i < classes.length; i++) {
    if (!Number.isInteger(classes[i]) || classes[i] < 0 || classes[i] >= classCount) {
      throw new ValueError(
        `${name} holds ${classes[i]} at index ${i}, but a class from 0 to ${classCount - 1} is taken`,
      );
    }
  }
}

/**
 * The share of predictions that are right, 0 to 1.
 *
 * @param predictions classes, such as the argmax of logits
 * @param labels the right classes
 * @throws ShapeError if the lengths differ; ValueError if they are empty or hold anything but classes
 * @example
 * accuracy([1, 2, 2], [1, 2, 0]); // 2 / 3
 */
export function accuracy(predictions: Numbers, labels: Numbers): number {
  checkPaired(predictions, "predictions", labels, "labels");
  checkClasses(predictions, "predictions");
  checkClasses(labels, "labels");
  let right = 0;
  for (let i = 0; i < labels.length; i++) {
    right += predictions[i] === labels[i] ? 1 : 0;
  }
  return right / labels.length;
}

/**
 * How often each class was taken for each: entry [label][prediction] counts.
 *
 * @param predictions classes below `classCount`
 * @param labels the right classes, below `classCount`
 * @returns `classCount` rows, one a label, of `classCount` counts, one a prediction
 * @throws ShapeError if the lengths differ; ValueError if they are empty or hold anything but classes
 * @example
 * confusionMatrix([1, 0], [1, 1], 2); // [[0, 0], [1, 1]]
 */
export function confusionMatrix(predictions: Numbers, labels: Numbers, classCount: number): number[][] {
  checkPaired(predictions, "predictions", labels, "labels");
  checkClasses(predictions, "predictions", classCount);
  checkClasses(labels, "labels", classCount);
  const matrix = Array.from({ length: classCount }, () => new Array<number>(classCount).fill(0));
  for (let i = 0; i < labels.length; i++) {
    matrix[labels[i]][predictions[i]]++;
  }
  return matrix;
}
