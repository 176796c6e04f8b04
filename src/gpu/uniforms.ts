/** The uniform struct of a dispatch: values by field name, packed as WGSL lays them out. */
import { ValueError } from "./errors.js";
import type { UniformField } from "./wgsl_interface.js";

/** A number, or the four of a vec4u. */
export type UniformValue = number | readonly number[];

const word = new DataView(new ArrayBuffer(4));

/** @throws ValueError for a field without a value, or a value that its type does not hold */
export function packUniforms(
  kernel: string,
  layout: { readonly fields: readonly UniformField[]; readonly byteLength: number },
  values: Readonly<Record<string, UniformValue>>,
): Uint32Array {
  const packed = new Uint32Array(layout.byteLength / 4);
  for (const { name, type, offset } of layout.fields) {
    const value = values[name];
    const start = offset / 4;
    if (type !== "vec4u") packed[start] = bitsOf(kernel, name, type, value);
    else if (Array.isArray(value) && value.length === 4)
      for (let i = 0; i < 4; i++) packed[start + i] = bitsOf(kernel, `${name}[${i}]`, "u32", value[i]);
    else throw new ValueError(`${kernel}: uniform "${name}" got ${value}, and four numbers are taken`);
  }
  return packed;
}

function bitsOf(kernel: string, field: string, type: "u32" | "i32" | "f32", value: unknown): number {
  if (typeof value === "number") {
    if (type === "u32" && value === value >>> 0) return value;
    if (type === "i32" && value === (value | 0)) return value;
    // Infinity is a bound that kernels take; a number that only becomes infinite as a float32 is a mistake.
    if (type === "f32" && (Math.abs(value) === Infinity || Number.isFinite(Math.fround(value)))) {
      word.setFloat32(0, value, true);
      return word.getUint32(0, true);
    }
  }
  const kinds = {
    u32: "a whole number from 0 to 4294967295",
    i32: "a whole number from -2147483648 to 2147483647",
    f32: "a float32",
  };
  throw new ValueError(`${kernel}: uniform "${field}" got ${String(value)}, and ${kinds[type]} is taken`);
}
