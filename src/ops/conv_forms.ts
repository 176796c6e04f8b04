/** Which form computes a convolution: directly, or as a matrix product over columns. The tuner may choose again. */
import type { Gpu } from "../gpu/gpu.js";
import type { Trial, Variant } from "../gpu/tuner.js";
import { type Tensor, zeros } from "../tensor.js";
import { checkEpilogue, DEFAULT_SLOPE } from "./activation_names.js";
import {
  convolveToNarrow,
  convolveToWide,
  fitsColumns,
  hasColumnActivation,
  weightGradByColumns,
} from "./conv_columns.js";
import type { ConvGeometry } from "./conv_geometry.js";
import { convolveDirectly } from "./conv_kernels.js";
import { convWork, type Direction, type Epilogue, imageShape } from "./conv_view.js";
import { weightGrad as weightGradDirectly } from "./conv_weight_grad.js";
import { adapterTraits } from "./matmul_plan.js";
import { checkOut } from "./window.js";

interface ConvForm extends Variant {
  readonly name: "direct" | "columns";
}

const direct: ConvForm = { name: "direct" };
const columns: ConvForm = { name: "columns" };
/** Below so many operations three dispatches cost more than they save. */
const SMALL_WORK = 2e6;
/** A product with fewer rows or shorter sums than this does not pay for writing the columns. */
const FEW_CHANNELS = 8;
const SHORT_SUM = 32;

/** What was measured on both software adapters; GPUs, whose loads are cheap, keep to the direct form. */
function columnsPay(gpu: Gpu, direction: Direction | "weights", geometry: ConvGeometry): boolean {
  if (!adapterTraits(gpu).software || convWork(geometry) < SMALL_WORK) return false;
  const { wideChannels, narrowChannels, y, x } = geometry;
  if (narrowChannels < FEW_CHANNELS || wideChannels * y.kernel * x.kernel < SHORT_SUM) return false;
  // With a stride most taps that an element of the wide image looks at are not there.
  return direction !== "toWide" || y.stride * x.stride === 1;
}

function pick(
  gpu: Gpu,
  direction: Direction | "weights",
  geometry: ConvGeometry,
  trial: (form: ConvForm) => Trial,
): ConvForm {
  // Columns of many images may not fit, so the choice would depend on the batch.
  if (gpu.deterministic || !fitsColumns(geometry, gpu.limits)) return direct;
  const { images, wideChannels, narrowChannels, y, x } = geometry;
  const axes = [y, x].map((axis) => Object.values(axis).join("."));
  const key = `conv2d ${direction} ${images}×${wideChannels}→${narrowChannels} ${axes.join("×")}`;
  const forms = columnsPay(gpu, direction, geometry) ? [columns, direct] : [direct, columns];
  return gpu.tuner.pick(
    key,
    () => forms,
    (_gpu, form) => trial(form),
  );
}

/** A convolution in either direction. @throws ValueError for an unknown activation or a slope below 0 */
export function convolve(
  op: string,
  direction: Direction,
  source: Tensor,
  w: Tensor,
  geometry: ConvGeometry,
  epilogue: Epilogue = {},
  out?: Tensor,
): Tensor {
  checkEpilogue(op, epilogue);
  const { bias, activation, slope = DEFAULT_SLOPE } = epilogue;
  const run = (form: ConvForm, x: Tensor, weights: Tensor, ending: Epilogue, target?: Tensor): Tensor => {
    if (form === direct) return convolveDirectly(direction, x, weights, geometry, ending, target);
    const byColumns = direction === "toNarrow" ? convolveToNarrow : convolveToWide;
    return byColumns(x, weights, geometry, { ...ending, slope }, target);
  };
  if (!hasColumnActivation(activation)) return run(direct, source, w, epilogue, out);
  const { gpu, shape } = source;
  const weightShape = w.shape;
  const form = pick(gpu, direction, geometry, (candidate) => {
    const [x, weights] = [zeros(gpu, shape), zeros(gpu, weightShape)];
    return { run: () => run(candidate, x, weights, {}).dispose(), dispose: () => disposeAll([x, weights]) };
  });
  if (form === columns) {
    const side = direction === "toNarrow" ? "narrow" : "wide";
    checkOut(op, out, imageShape(geometry, side), bias ? { x: source, w, bias } : { x: source, w });
  }
  return run(form, source, w, epilogue, out);
}

/** dw from the wide image and the narrow one. */
export function weightGrad(wide: Tensor, narrow: Tensor, geometry: ConvGeometry, out?: Tensor): Tensor {
  const run = (form: ConvForm, x: Tensor, dy: Tensor, target?: Tensor): Tensor =>
    (form === columns ? weightGradByColumns : weightGradDirectly)(x, dy, geometry, target);
  const { gpu } = wide;
  const shapes = [wide.shape, narrow.shape];
  const form = pick(gpu, "weights", geometry, (candidate) => {
    const [x, dy] = shapes.map((shape) => zeros(gpu, shape));
    return { run: () => run(candidate, x, dy).dispose(), dispose: () => disposeAll([x, dy]) };
  });
  return run(form, wide, narrow, out);
}

function disposeAll(tensors: readonly Tensor[]): void {
  for (const tensor of tensors) tensor.dispose();
}
