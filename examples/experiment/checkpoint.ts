// What an experiment has done so far, on disk: a line of JSON a job, so that an interrupt loses one job at most.
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { FormatError, ValueError } from "handgrad";

export interface CheckpointOptions {
  /** What the numbers depend on (seeds, rates, sizes, …); a file made with others is refused. Plain JSON. */
  readonly settings: unknown;
  /** Worth keeping, but not what the numbers depend on, such as the adapter's name. */
  readonly about?: unknown;
  /** Forget what an earlier run has done. Default false. */
  readonly fresh?: boolean;
}

interface Head {
  readonly settings: unknown;
  readonly about?: unknown;
}

interface Contents<Value> {
  readonly head: Head;
  readonly values: Map<string, Value>;
  /** Bytes of whole lines; what is behind them was cut off while it was written. */
  readonly bytes: number;
}

/**
 * Values by key, each on disk before `add` returns. The first line holds the settings, every other { key, value }; a last
 * line that is not whole, from a process that was killed as it wrote, is dropped.
 * @example
 * const checkpoint = Checkpoint.open<number>("out/x.jsonl", { settings: { epochs: 3 } });
 * if (!checkpoint.has("seed 1")) checkpoint.add("seed 1", await train(1));
 * checkpoint.close();
 */
export class Checkpoint<Value> {
  private constructor(
    readonly file: string,
    readonly head: Head,
    private readonly values: Map<string, Value>,
    private readonly descriptor: number,
  ) {}

  /**
   * Opens a file to go on from, or makes it.
   * @throws ValueError if it was made with other settings; FormatError if it is no checkpoint
   */
  static open<Value>(file: string, { settings, about, fresh = false }: CheckpointOptions): Checkpoint<Value> {
    const head: Head = { settings: plain("settings", settings), about: plain("about", about ?? null) };
    if (fresh) rmSync(file, { force: true });
    const found = existsSync(file) && statSync(file).size > 0 ? readContents<Value>(file) : undefined;
    if (found && !isDeepStrictEqual(found.head.settings, head.settings)) {
      throw new ValueError(
        `${file} is of a run with other settings, ${JSON.stringify(found.head.settings)}; ` +
          "take --fresh to start anew, or another --out",
      );
    }
    const descriptor = openSync(file, "a");
    if (found) {
      ftruncateSync(descriptor, found.bytes);
      return new Checkpoint(file, found.head, found.values, descriptor);
    }
    writeLine(descriptor, head);
    return new Checkpoint(file, head, new Map(), descriptor);
  }

  has(key: string): boolean {
    return this.values.has(key);
  }

  get(key: string): Value | undefined {
    return this.values.get(key);
  }

  entries(): readonly (readonly [key: string, value: Value])[] {
    return [...this.values];
  }

  /**
   * Keeps a value, as JSON does.
   * @throws ValueError for a key that is there, or a number that is not finite, which JSON would make null
   */
  add(key: string, value: Value): void {
    if (this.values.has(key)) throw new ValueError(`checkpoint: "${key}" is in ${this.file} already`);
    const kept = plain(key, value) as Value;
    writeLine(this.descriptor, { key, value: kept });
    this.values.set(key, kept);
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

/**
 * What several checkpoints (of shards) hold together.
 * @throws ValueError if their settings differ, or two have another value for a key; FormatError if one is no checkpoint
 */
export function mergeCheckpoints<Value>(files: readonly string[]): {
  readonly settings: unknown;
  /** One for each file. */
  readonly abouts: readonly unknown[];
  readonly values: ReadonlyMap<string, Value>;
} {
  const parts = files.map((file) => ({ file, ...readContents<Value>(file) }));
  const [first] = parts;
  if (!first) throw new ValueError("merge: files is empty, and at least one checkpoint is taken");
  const values = new Map<string, Value>();
  for (const { file, head, values: own } of parts) {
    if (!isDeepStrictEqual(head.settings, first.head.settings)) {
      const settings = [head, first.head].map((one) => JSON.stringify(one.settings)).join(" and ");
      throw new ValueError(`merge: ${file} and ${first.file} are of different settings, ${settings}`);
    }
    for (const [key, value] of own) {
      if (values.has(key) && !isDeepStrictEqual(values.get(key), value))
        throw new ValueError(`merge: "${key}" is in ${file} and in another file with another value`);
      values.set(key, value);
    }
  }
  return { settings: first.head.settings, abouts: parts.map(({ head }) => head.about), values };
}

/** The whole lines of a file. A later line of a key is passed over: two runs at once may both have done a job. */
function readContents<Value>(file: string): Contents<Value> {
  const text = readFileSync(file, "utf8");
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  const lines = whole.split("\n").slice(0, -1);
  const [head, ...rest] = lines.map((line, index) => parseLine(file, line, index));
  if (!isRecord(head) || !("settings" in head))
    throw new FormatError(`${file} is no checkpoint: its first line holds no settings; take another --out`);
  const values = new Map<string, Value>();
  for (const [index, entry] of rest.entries()) {
    if (!isRecord(entry) || typeof entry.key !== "string" || !("value" in entry))
      throw new FormatError(`${file}: line ${index + 2} holds no key and value; remove the line`);
    if (!values.has(entry.key)) values.set(entry.key, entry.value as Value);
  }
  return { head: head as unknown as Head, values, bytes: Buffer.byteLength(whole) };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;

function parseLine(file: string, line: string, index: number): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new FormatError(`${file}: line ${index + 1} is no JSON; remove the line`, { cause });
  }
}

/** A line in one write, on disk when this returns. */
function writeLine(descriptor: number, value: unknown): void {
  writeSync(descriptor, `${JSON.stringify(value)}\n`);
  fsyncSync(descriptor);
}

/** A value as JSON gives it back. @throws ValueError for a number that is not finite */
function plain(name: string, value: unknown): unknown {
  const text = JSON.stringify(value, (key, part: unknown) => {
    if (typeof part === "number" && !Number.isFinite(part))
      throw new ValueError(
        `checkpoint: ${key || "the value"} of "${name}" is ${part}, and JSON has no such number`,
      );
    return part;
  });
  return JSON.parse(text ?? "null");
}
