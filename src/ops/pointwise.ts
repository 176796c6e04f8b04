/**
 * Kernels that make each element of a result from the elements of their inputs at the same place. Their WGSL
 * is written for four elements an invocation (`alias Item = vec4f;`), which loads fastest; sizes that 4 does
 * not divide take the same text with one element an invocation.
 */
import { KernelError, ShapeError } from "../gpu/errors.js";
import {
  defineKernel,
  gridFor,
  type KernelRecord,
  type Shape,
  type Shapes,
  sizeOf,
  type UniformValue,
} from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";

const WORKGROUP_SIZE = 64;

/** A kernel's record without what is the same for all of them: the count of items, the grid, the work. */
export interface PointwiseRecord<Options>
  extends Pick<KernelRecord<Options>, "name" | "wgsl" | "bindings" | "inPlace"> {
  constants?(options: Options): Record<string, number | boolean>;
  uniforms?(options: Options): Readonly<Record<string, UniformValue>>;
  /** Further checks; that all inputs have the shape of the first is checked anyhow. */
  check?(shapes: Shapes, options: Options): void;
  /** Estimated floating-point operations an element; default 12, about what loads and stores cost. */
  readonly work?: number;
}

export class PointwiseKernel<Options = object> {
  private readonly fours;
  private readonly ones;

  constructor(record: PointwiseRecord<Options>) {
    this.fours = defineKernel(widen(record, record.wgsl, 4));
    this.ones = defineKernel(widen(record, oneByOne(record.name, record.wgsl), 1));
  }

  /** Records one dispatch and returns the `write` bindings; see `Kernel.run`. */
  run(
    inputs: Readonly<Record<string, Tensor | undefined>>,
    options: Options,
    out: Readonly<Record<string, Tensor | undefined>> = {},
  ): Record<string, Tensor> {
    const tensors = [...Object.values(inputs), ...Object.values(out)];
    const divisible = tensors.every((tensor) => !tensor || tensor.size % 4 === 0);
    return (divisible ? this.fours : this.ones).run(inputs, options, { out });
  }
}

/** Adds what all pointwise kernels share. A kernel without inputs gets its shape from `options.shape`. */
function widen<Options>(
  record: PointwiseRecord<Options>,
  wgsl: string,
  width: number,
): KernelRecord<Options> {
  const { name, bindings, inPlace, constants, uniforms, check, work = 12 } = record;
  const outputs = Object.keys(bindings).filter((binding) => bindings[binding] === "write");
  const shapeOf = (shapes: Shapes): Shape => shapes[outputs[0]];
  return {
    name,
    wgsl,
    bindings,
    inPlace,
    constants: (_shapes, options) => constants?.(options) ?? {},
    shape: (inputs, options) => {
      check?.(inputs, options);
      const shape = commonShape(name, inputs) ?? (options as { shape: Shape }).shape;
      return Object.fromEntries(outputs.map((output) => [output, shape]));
    },
    uniforms: (shapes, options) => ({ ...uniforms?.(options), count: sizeOf(shapeOf(shapes)) / width }),
    grid: (shapes, limits) => gridFor(sizeOf(shapeOf(shapes)) / width, WORKGROUP_SIZE, limits),
    work: (shapes) => work * sizeOf(shapeOf(shapes)),
  };
}

/** The one shape of all inputs. @throws ShapeError */
function commonShape(kernel: string, inputs: Shapes): Shape | undefined {
  let first: [string, Shape] | undefined;
  for (const name in inputs) {
    const shape = inputs[name];
    first ??= [name, shape];
    if (shape.length !== first[1].length || shape.some((size, axis) => size !== first?.[1][axis])) {
      throw new ShapeError(
        `${kernel}: "${name}" has shape [${shape}] and "${first[0]}" has [${first[1]}]; ` +
          `both must have the same`,
      );
    }
  }
  return first?.[1];
}

/**
 * The text with one element an invocation in place of four.
 *
 * @throws KernelError if the WGSL has no alias of four to replace
 */
export function oneByOne(name: string, wgsl: string): string {
  const types: Record<string, string> = { f: "f32", i: "i32", u: "u32" };
  const text = wgsl.replace(
    /^(\s*alias \w+ = )vec4([fiu]);/gm,
    (_, head, letter) => `${head}${types[letter]};`,
  );
  if (text === wgsl)
    throw new KernelError(`kernel ${name}: its WGSL has no "alias Item = vec4f;" on a line of its own`);
  return text;
}
