/** Where a network can be pruned: its dense and convolution layers, by the names of their parameters. */
import { ValueError } from "../gpu/errors.js";
import { Conv2d } from "../layers/conv2d.js";
import { Dense } from "../layers/dense.js";
import type { Layer } from "../layers/layer.js";
import { Residual, Sequential } from "../layers/sequential.js";

/** A layer with weights that can be removed; `${name}.weight` is the parameter. */
export interface PrunableLayer {
  readonly name: string;
  readonly layer: Conv2d | Dense;
  /** Whether it is pruned unless `layers` or the ratios say otherwise: not the first convolution, not depthwise ones. */
  readonly byDefault: boolean;
}

/**
 * A network's dense and convolution layers in order, also those inside of residual blocks.
 * @example
 * const names = prunableLayers(model).filter(({ byDefault }) => byDefault).map(({ name }) => name);
 */
export function prunableLayers(model: Sequential): PrunableLayer[] {
  const found: { name: string; layer: Conv2d | Dense }[] = [];
  visit(model, "", (name, layer) => found.push({ name, layer }));
  const first = found.find(({ layer }) => layer instanceof Conv2d);
  return found.map((site) => ({ ...site, byDefault: site !== first && !isDepthwise(site.layer) }));
}

/** The layers of the names given, or those pruned by default. @throws ValueError for a name that is not there */
export function layersNamed(model: Sequential, names?: readonly string[]): PrunableLayer[] {
  const all = prunableLayers(model);
  if (!names) return all.filter(({ byDefault }) => byDefault);
  for (const name of names) {
    if (all.some((site) => site.name === name)) continue;
    throw new ValueError(
      `spade: layer "${name}" is not in the network; take some of ${all.map((site) => site.name).join(", ")}`,
    );
  }
  return all.filter(({ name }) => names.includes(name));
}

function isDepthwise(layer: Conv2d | Dense): boolean {
  return layer instanceof Conv2d && layer.parameters.weight.shape[1] === 1 && (layer.config.groups ?? 1) > 1;
}

function visit(layer: Layer, name: string, found: (name: string, layer: Conv2d | Dense) => void): void {
  const inside = (part: string): string => (name === "" ? part : `${name}.${part}`);
  if (layer instanceof Conv2d || layer instanceof Dense) found(name, layer);
  else if (layer instanceof Sequential) {
    layer.layers.forEach((inner, index) => {
      visit(inner, inside(String(index)), found);
    });
  } else if (layer instanceof Residual) {
    visit(layer.body, inside("body"), found);
    if (layer.shortcut) visit(layer.shortcut, inside("shortcut"), found);
  }
}
