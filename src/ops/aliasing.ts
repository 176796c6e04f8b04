import { ShapeError } from "../gpu/errors.js";
import type { Tensor } from "../tensor.js";

/**
 * For ops of several kernels, of which none sees both: refuses an `out` that shares its buffer with an input.
 * @throws ShapeError
 */
export function refuseShared(
  op: string,
  out: Tensor | undefined,
  inputs: Readonly<Record<string, Tensor>>,
): void {
  if (!out?.storage) return;
  for (const name in inputs) {
    if (inputs[name].storage !== out.storage) continue;
    throw new ShapeError(
      `${op}: out shares its buffer with ${name}, which this op does not take; give another tensor as out`,
    );
  }
}
