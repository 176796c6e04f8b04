/** Streams of tasks: what a network meets one after the other, and must not forget. */
import { ValueError } from "../gpu/errors.js";
import { philoxPermutation } from "../random.js";

/**
 * What is known of the task at a test (van de Ven and Tolias 2019):
 * - `task`: which task it is; only its own classes compete (their outputs are masked in training and test)
 * - `domain`: not which task; all tasks share the outputs
 * - `class`: neither; all classes compete
 */
export type Scenario = "task" | "domain" | "class";

export type StreamKind = "split" | "permuted" | "rotated";

/** One task. */
export interface Task {
  readonly name: string;
  /** Classes of the data set that it shows. */
  readonly classes: readonly number[];
  /** The output that stands for each class of the data set; -1 for classes that it does not show. */
  readonly targets: readonly number[];
  /** Outputs that compete. */
  readonly active: readonly number[];
  /** Degrees by which its images are turned counterclockwise. */
  readonly degrees?: number;
  /** Whether its pixels are permuted, by each seed in its own way. */
  readonly permuted?: boolean;
}

export interface Stream {
  readonly kind: StreamKind;
  readonly scenario: Scenario;
  readonly tasks: readonly Task[];
  /** How many outputs the network has. */
  readonly outputs: number;
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

function checkTasks(name: string, tasks: number, most: number): void {
  if (!(Number.isInteger(tasks) && tasks >= 1 && tasks <= most))
    throw new ValueError(`${name}: tasks is ${tasks}, and a whole number from 1 to ${most} is taken`);
}

/**
 * The classes in groups, in their order: digits 0 and 1, 2 and 3, … In `domain` the first class of each task has output 0,
 * the second output 1, and so on.
 * @param scenario what is known of the task
 * @param options tasks (default 5) and classes of the data set (default 10), a multiple of it
 * @throws ValueError
 * @example
 * const stream = splitStream("domain");
 */
export function splitStream(
  scenario: Scenario,
  { tasks = 5, classes = 10 }: { tasks?: number; classes?: number } = {},
): Stream {
  checkTasks("splitStream", tasks, classes);
  const size = classes / tasks;
  if (!Number.isInteger(size))
    throw new ValueError(`splitStream: ${tasks} tasks do not divide ${classes} classes`);
  const list = range(tasks).map((task): Task => {
    const own = range(size).map((i) => task * size + i);
    const output = (label: number): number => (scenario === "domain" ? label % size : label);
    return {
      name: own.join(" "),
      classes: own,
      targets: range(classes).map((label) => (own.includes(label) ? output(label) : -1)),
      active: scenario === "domain" ? range(size) : scenario === "task" ? own : range(classes),
    };
  });
  return { kind: "split", scenario, tasks: list, outputs: scenario === "domain" ? size : classes };
}

/**
 * All classes in every task; the pixels of the first task as they are, of each other one in a random order of its own,
 * another for each seed. Domain-IL.
 * @throws ValueError
 */
export function permutedStream({
  tasks = 5,
  classes = 10,
}: {
  tasks?: number;
  classes?: number;
} = {}): Stream {
  checkTasks("permutedStream", tasks, 100);
  const list = range(tasks).map((task) => ({
    ...wholeTask(task === 0 ? "as they are" : `order ${task}`, classes),
    permuted: task > 0,
  }));
  return { kind: "permuted", scenario: "domain", tasks: list, outputs: classes };
}

/**
 * All classes in every task, turned by equal steps from 0 to `degrees` (default 180, the last one excluded: five tasks are
 * turned by 0, 36, 72, 108 and 144 degrees). Domain-IL.
 * @throws ValueError
 */
export function rotatedStream({
  tasks = 5,
  classes = 10,
  degrees = 180,
}: {
  tasks?: number;
  classes?: number;
  degrees?: number;
} = {}): Stream {
  checkTasks("rotatedStream", tasks, 100);
  if (!Number.isFinite(degrees))
    throw new ValueError(`rotatedStream: degrees is ${degrees}, and a finite number is taken`);
  const list = range(tasks).map((task) => {
    const turned = (task * degrees) / tasks;
    return { ...wholeTask(`${turned}°`, classes), degrees: turned };
  });
  return { kind: "rotated", scenario: "domain", tasks: list, outputs: classes };
}

function wholeTask(name: string, classes: number): Task {
  const all = range(classes);
  return { name, classes: all, targets: all, active: all };
}

/** Streams of Philox that a seed's permutations come from; batches draw from lower ones. */
const VIEW_STREAM = 2 ** 24;

/** From which pixels, and with which weights, each task's pixels come; none where all tasks show images as they are. */
export interface ViewTable {
  /** How many views there are: one for each seed, or one for all. */
  readonly views: number;
  readonly taps: number;
  /** [views, tasks, pixels, taps] */
  readonly sources: Uint32Array;
  /** The same shape. */
  readonly weights?: Float32Array;
}

/**
 * @param shape [channels, height, width]
 * @param seeds of the members, for permutations
 */
export function viewTable(
  { tasks }: Stream,
  shape: readonly [number, number, number],
  seeds: readonly number[],
): ViewTable | undefined {
  const pixels = shape[0] * shape[1] * shape[2];
  if (tasks.some(({ permuted }) => permuted)) {
    const sources = new Uint32Array(seeds.length * tasks.length * pixels);
    for (const [member, seed] of seeds.entries()) {
      for (const [index, task] of tasks.entries()) {
        const order = task.permuted
          ? philoxPermutation(pixels, seed, VIEW_STREAM + index)
          : Uint32Array.from(range(pixels));
        sources.set(order, (member * tasks.length + index) * pixels);
      }
    }
    return { views: seeds.length, taps: 1, sources };
  }
  if (!tasks.some(({ degrees }) => degrees)) return undefined;
  const sources = new Uint32Array(tasks.length * pixels * 4);
  const weights = new Float32Array(sources.length);
  for (const [index, { degrees = 0 }] of tasks.entries())
    turn(shape, degrees, sources, weights, index * pixels * 4);
  return { views: 1, taps: 4, sources, weights };
}

/** Bilinear weights of the four neighbors of where each pixel comes from; outside of the image is 0. */
function turn(
  [channels, height, width]: readonly [number, number, number],
  degrees: number,
  sources: Uint32Array,
  weights: Float32Array,
  start: number,
): void {
  const angle = (degrees * Math.PI) / 180;
  // Whole quarter turns take pixels to pixels: rounding must not blur them.
  const exact = (value: number): number =>
    Math.abs(value - Math.round(value)) < 1e-12 ? Math.round(value) : value;
  const [cosine, sine] = [exact(Math.cos(angle)), exact(Math.sin(angle))];
  const [middleY, middleX] = [(height - 1) / 2, (width - 1) / 2];
  let at = start;
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const [dy, dx] = [y - middleY, x - middleX];
        const fromX = middleX + cosine * dx - sine * dy;
        const fromY = middleY + sine * dx + cosine * dy;
        const [left, top] = [Math.floor(fromX), Math.floor(fromY)];
        for (const [row, rowWeight] of [
          [top, 1 - (fromY - top)],
          [top + 1, fromY - top],
        ]) {
          for (const [column, columnWeight] of [
            [left, 1 - (fromX - left)],
            [left + 1, fromX - left],
          ]) {
            const inside = row >= 0 && row < height && column >= 0 && column < width;
            sources[at] = inside ? (channel * height + row) * width + column : 0;
            weights[at++] = inside ? rowWeight * columnWeight : 0;
          }
        }
      }
    }
  }
}
