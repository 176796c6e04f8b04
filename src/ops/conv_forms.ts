/**
 * Which form computes a convolution: directly, with loads that a subgroup shares, as a matrix product over columns, or
 * as one over tiles in workgroup memory. The tuner may choose again.
 */
import { ValueError } from "../gpu/errors.js";
import type { Gpu } from "../gpu/gpu.js";
import type { Trial, Variant } from "../gpu/tuner.js";
import { type Tensor, zeros } from "../tensor.js";
import { type ActivationOptions, checkEpilogue, DEFAULT_SLOPE } from "./activation_names.js";
import {
  type ColumnLimits,
  convolveToNarrow,
  convolveToWide,
  fitsColumns,
  hasColumnActivation,
  isPointwise,
  weightGradByColumns,
} from "./conv_columns.js";
import type { ConvGeometry } from "./conv_geometry.js";
import { convolveDirectly } from "./conv_kernels.js";
import { convWork, type Direction, type Epilogue, imageShape, phasePositions, viewOf } from "./conv_view.js";
import { weightGrad as weightGradDirectly } from "./conv_weight_grad.js";
import { convolveToFewChannels, type PlaceTile, placeTiles } from "./conv_few_channels.js";
import { convolveBySubgroup, type SharedTile } from "./conv_subgroup.js";
import { convolveByTiles, type SquareTile } from "./conv_workgroup_tile.js";
import { type AdapterTraits, adapterTraits } from "./matmul_plan.js";
import { checkOut } from "./window.js";

/** By tiles in workgroup memory, by a subgroup or by places of the narrow image where there is such a tile. */
export interface ConvForm extends Variant {
  readonly square?: SquareTile;
  readonly shared?: SharedTile;
  readonly places?: PlaceTile;
}

/** What is summed: a result in either direction, or the weight gradient. */
export type ConvSum = Direction | "weights";

const direct: ConvForm = { name: "direct" };
const columns: ConvForm = { name: "columns" };

/** The form with so many results an invocation and invocations a workgroup, along either side. */
export const byTiles = (tile: number, group: number): ConvForm => ({
  name: `workgroup_tile ${tile}×${tile} of ${group}×${group}`,
  square: { tile, group },
});
const [small, broad, large] = [byTiles(4, 8), byTiles(4, 16), byTiles(8, 8)];

/** The form with so many channels × positions a lane, whose weights the lanes of a subgroup share. */
export const bySubgroup = (tileO: number, tileP: number, lanes: number): ConvForm => ({
  name: `subgroup ${tileO}×${tileP} of ${lanes}`,
  shared: { kernel: "subgroup", tileO, tileP, lanes },
});
/** The same whose positions the lanes share. */
export const byPositions = (tileO: number, tileP: number, lanes: number): ConvForm => ({
  name: `subgroup_positions ${tileO}×${tileP} of ${lanes}`,
  shared: { kernel: "subgroup_positions", tileO, tileP, lanes },
});
/** Four lanes of so many channels, and so many positions of all four, who share both. */
export const byQuad = (tileO: number, tileP: number): ConvForm => ({
  name: `quad ${tileO}×${tileP}`,
  shared: { kernel: "quad", tileO, tileP, lanes: 4 },
});
/** The same for few channels of what is read, forward only. */
export const byQuadOfFew = (tileO: number, tileP: number): ConvForm => ({
  name: `quad_few_channels ${tileO}×${tileP}`,
  shared: { kernel: "quad_few_channels", tileO, tileP, lanes: 4 },
});
/** As `bySubgroup`, the same for few channels of what is read. */
export const bySubgroupOfFew = (tileO: number, tileP: number, lanes: number): ConvForm => ({
  name: `subgroup_few_channels ${tileO}×${tileP} of ${lanes}`,
  shared: { kernel: "subgroup_few_channels", tileO, tileP, lanes },
});
/** The form for few channels of the result, input gradient only, with so many places an invocation. */
export const byPlaces = (places: PlaceTile): ConvForm => ({
  name: `few_channels ${places.tileY}×${places.tileX}`,
  places,
});
const [plainEight, shortEight] = [bySubgroup(16, 4, 8), bySubgroup(8, 4, 8)];
const positionsEight = byPositions(4, 24, 8);
const sixteen = [bySubgroup(16, 4, 16)];
const [fewNarrow, fewWide] = [bySubgroupOfFew(16, 4, 8), bySubgroupOfFew(32, 4, 8)];
/** With fewer channels, of the result or of what is read, too much of a subgroup's tile or of its steps is empty. */
const SHARED_CHANNELS = 9;
/** Lanes share positions where they have channels of their own for so large a part of them … */
const LEAST_USE = 0.75;
/** … and from so many positions on putting the weights in order costs little beside them. */
const MANY_POSITIONS = 128;
/** From so many operations on, the taller tile of a quad is worth that it takes up to a second to compile. */
const TALL_WORK = 3e7;

/** Below so many operations three dispatches cost more than they save. */
const SMALL_WORK = 2e6;
/** A product with fewer rows or shorter sums than this does not pay for writing the columns. */
const FEW_CHANNELS = { toNarrow: 17, toWide: 8, weights: 8 };
const SHORT_SUM = 32;
/** They pay for the input gradient of a first layer with strides where its sums are as long as this. */
const LONG_BACKWARD_SUM = 128;
/** Results along a side of the small tile: up to so many, half of a large one is empty. */
const SMALL_TILE = 32;
/** With less than half of that along any side of the product most of a tile is empty. */
const SHORT_SIDE = SMALL_TILE / 2;
/** From so many results on the large tiles still fill a GPU. */
const MANY_RESULTS = 512 * 512;

/** Whether columns are faster than the direct form: what was measured on both software adapters. */
function columnsPay(lanes: number, direction: ConvSum, geometry: ConvGeometry): boolean {
  if (convWork(geometry) < SMALL_WORK) return false;
  const { wideChannels, narrowChannels, y, x } = geometry;
  const taps = y.kernel * x.kernel;
  if (lanes > 0 && direction === "toWide" && wideChannels < SHARED_CHANNELS && y.stride * x.stride > 1)
    return (narrowChannels * taps) / (y.stride * x.stride) >= LONG_BACKWARD_SUM;
  if (narrowChannels < FEW_CHANNELS[direction] || wideChannels * taps < SHORT_SUM) return false;
  // Backward each column is written and read again for a single sum, unless the product is the image itself.
  return direction !== "toWide" || isPointwise(geometry);
}

/** Those whose lanes share loads, where that is faster than the direct form: whatever the images and positions. */
function sharedForms(
  { lanes, deterministic }: AdapterTraits,
  direction: ConvSum,
  geometry: ConvGeometry,
): readonly ConvForm[] {
  if (direction === "weights") return [];
  const view = viewOf(geometry, direction);
  const { inputs, outputs } = view;
  const tileO = outputs > 16 ? 8 : 4;
  const isFirst = direction === "toNarrow" && inputs < SHARED_CHANNELS && outputs >= SHARED_CHANNELS;
  if (lanes === 4 && isFirst) return [byQuadOfFew(tileO, 32), byQuadOfFew(tileO, 64), byQuadOfFew(tileO, 16)];
  if (lanes === 8 && isFirst) return outputs > 16 ? [fewWide, fewNarrow] : [fewNarrow, fewWide];
  if (lanes === 4 && direction === "toWide" && inputs >= SHARED_CHANNELS && outputs < SHARED_CHANNELS)
    return placeTiles(geometry).map(byPlaces);
  if (Math.min(inputs, outputs) < SHARED_CHANNELS) return [];
  if (lanes === 16) return sixteen;
  if (lanes === 8) {
    const width = lanes * 4;
    const use = outputs / (width * Math.ceil(outputs / width));
    const pays = use >= LEAST_USE && (deterministic || phasePositions(view) >= MANY_POSITIONS);
    return pays ? [positionsEight, plainEight, shortEight] : [plainEight, shortEight, positionsEight];
  }
  if (lanes !== 4) return [];
  const isTall = !deterministic && convWork(geometry) >= TALL_WORK && phasePositions(view) > 32;
  const tall = byQuad(tileO, tileO === 8 ? 48 : 64);
  const tiles = isTall ? [tall, byQuad(tileO, 32)] : [byQuad(tileO, 32), tall];
  return [...tiles, byQuad(tileO, 16)];
}

function softwareForms(
  adapter: AdapterTraits,
  byColumns: readonly ConvForm[],
  direction: ConvSum,
  geometry: ConvGeometry,
): readonly ConvForm[] {
  const plain = columnsPay(adapter.lanes, direction, geometry)
    ? [...byColumns, direct]
    : [direct, ...byColumns];
  const shared = sharedForms(adapter, direction, geometry);
  // A convolution of 1 × 1 is a product of the images as they are.
  if (plain[0] === columns && isPointwise(geometry)) return [...plain, ...shared];
  return [...shared.slice(0, 1), ...plain, ...shared.slice(1)];
}

/** The sides of a convolution as a product: its rows, columns, and the length of its sums. */
function productSides(direction: ConvSum, geometry: ConvGeometry): readonly [number, number, number] {
  const { images, wideChannels, narrowChannels, y, x } = geometry;
  const taps = y.kernel * x.kernel;
  if (direction === "weights") return [narrowChannels, wideChannels * taps, images * y.narrow * x.narrow];
  const view = viewOf(geometry, direction);
  return [view.outputs, phasePositions(view), (view.inputs * taps) / (view.y.phases * view.x.phases)];
}

/** The forms that a convolution can take, the heuristic's choice first. */
export function convForms(
  adapter: AdapterTraits,
  limits: ColumnLimits,
  direction: ConvSum,
  geometry: ConvGeometry,
): readonly ConvForm[] {
  const { software, deterministic } = adapter;
  // Columns of many images may not fit and tiles suit many positions, so the choice would depend on the batch.
  if (deterministic) return [(software && sharedForms(adapter, direction, geometry)[0]) || direct];
  const byColumns = fitsColumns(geometry, limits) ? [columns] : [];
  if (software) return softwareForms(adapter, byColumns, direction, geometry);
  // GPUs, whose loads are cheap, do not write columns unless the tuner finds that it pays.
  const [rows, positions, depth] = productSides(direction, geometry);
  if (Math.min(rows, positions, depth) < SHORT_SIDE) return [direct, ...byColumns];
  const fills = rows * positions >= MANY_RESULTS && Math.min(rows, positions) > SMALL_TILE;
  const tiles = fills ? [large, broad, small] : [small, broad, large];
  return [...tiles, direct, ...byColumns];
}

function pick(
  gpu: Gpu,
  direction: ConvSum,
  geometry: ConvGeometry,
  { activation }: ActivationOptions,
  trial: (form: ConvForm) => Trial,
): ConvForm {
  const forms = convForms(adapterTraits(gpu), gpu.limits, direction, geometry);
  if (forms.length === 1) return forms[0];
  const { images, groups, wideChannels, narrowChannels, y, x } = geometry;
  const axes = [y, x].map((axis) => Object.values(axis).join("."));
  const parts = groups > 1 ? ` in ${groups} groups` : "";
  const key = `conv2d ${direction} ${images}×${wideChannels}→${narrowChannels}${parts} ${axes.join("×")}`;
  const chosen = gpu.tuner.pick(
    key,
    () => forms,
    (_gpu, form) => trial(form),
  );
  if (chosen !== columns || hasColumnActivation(activation)) return chosen;
  return forms.find((form) => form !== columns) ?? direct;
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
  const { gpu, shape } = source;
  const weightShape = w.shape;
  const form = pick(gpu, direction, geometry, epilogue, (candidate) => {
    const [x, weights] = [zeros(gpu, shape), zeros(gpu, weightShape)];
    return {
      run: () => convolveWithForm(candidate, direction, x, weights, geometry).dispose(),
      dispose: () => disposeAll([x, weights]),
    };
  });
  if (form === columns) {
    const side = direction === "toNarrow" ? "narrow" : "wide";
    const { bias } = epilogue;
    checkOut(op, out, imageShape(geometry, side), bias ? { x: source, w, bias } : { x: source, w });
  }
  return convolveWithForm(form, direction, source, w, geometry, epilogue, out);
}

/** `convolve` with a form of the caller's choice, for tests and measurements. */
export function convolveWithForm(
  form: ConvForm,
  direction: Direction,
  source: Tensor,
  w: Tensor,
  geometry: ConvGeometry,
  epilogue: Epilogue = {},
  out?: Tensor,
): Tensor {
  if (form.square) return convolveByTiles(form.square, direction, source, w, geometry, epilogue, out);
  if (form.places) {
    if (direction === "toWide") return convolveToFewChannels(form.places, source, w, geometry, epilogue, out);
    throw new ValueError(`conv2d: the form ${form.name} computes the input gradient only; take another one`);
  }
  if (form.shared) return convolveBySubgroup(form.shared, direction, source, w, geometry, epilogue, out);
  if (form === direct) return convolveDirectly(direction, source, w, geometry, epilogue, out);
  const byColumns = direction === "toNarrow" ? convolveToNarrow : convolveToWide;
  const { slope = DEFAULT_SLOPE } = epilogue;
  return byColumns(source, w, geometry, { ...epilogue, slope }, out);
}

/** dw from the wide image and the narrow one. */
export function weightGrad(wide: Tensor, narrow: Tensor, geometry: ConvGeometry, out?: Tensor): Tensor {
  const { gpu } = wide;
  const shapes = [wide.shape, narrow.shape];
  const form = pick(gpu, "weights", geometry, {}, (candidate) => {
    const [x, dy] = shapes.map((shape) => zeros(gpu, shape));
    return {
      run: () => weightGradWithForm(candidate, x, dy, geometry).dispose(),
      dispose: () => disposeAll([x, dy]),
    };
  });
  return weightGradWithForm(form, wide, narrow, geometry, out);
}

/** `weightGrad` with a form of the caller's choice, for tests and measurements. */
export function weightGradWithForm(
  form: ConvForm,
  wide: Tensor,
  narrow: Tensor,
  geometry: ConvGeometry,
  out?: Tensor,
): Tensor {
  if (form === columns) return weightGradByColumns(wide, narrow, geometry, out);
  return weightGradDirectly(wide, narrow, geometry, out, form.square);
}

function disposeAll(tensors: readonly Tensor[]): void {
  for (const tensor of tensors) tensor.dispose();
}
