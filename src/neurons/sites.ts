/** Where in a network attention is given: its dense and convolution layers, and who reads whom. */
import { ValueError } from "../gpu/errors.js";
import { Conv2d } from "../layers/conv2d.js";
import { ConvTranspose2d } from "../layers/conv_transpose2d.js";
import { Dense } from "../layers/dense.js";
import { EnsembleDense } from "../layers/ensemble_dense.js";
import type { Layer } from "../layers/layer.js";
import { Residual, Sequential } from "../layers/sequential.js";
import { broadcastTo } from "../ops/binary.js";
import type { Shape, Tensor } from "../tensor.js";

/**
 * A layer with weights. Its receivers are its own neurons (units, or the output channels of a convolution); its agents
 * are the neurons whose output it reads, who hold its weights as their attention.
 */
export interface Site {
  /** The layer's name: "2", or "3.body.0" in a residual block. */
  readonly name: string;
  readonly layer: Dense | EnsembleDense | Conv2d;
  /** [units, receivers], [members, units, receivers] of an ensemble, or [receivers, agents, kh, kw]. */
  readonly weights: Tensor;
  readonly bias?: Tensor;
  /** Behind a flattening, the positions of a channel are one agent. */
  readonly agents: number;
  readonly receivers: number;
  /** The networks of an ensemble, of which each has these agents and receivers; else 1. */
  readonly members: number;
  /** Of what it reads, with a batch of 1; of an ensemble [members, 1, units]. */
  readonly inputShape: Shape;
  /** The layer that gives attention to this layer's neurons; none for the output. */
  readonly reader?: string;
}

type Draft = { -readonly [Key in keyof Site]: Site[Key] };

/**
 * Lists the sites of a network, in the order of the forward pass.
 * @param inputShape of the network, with any batch; [members, n, inputs] of an ensemble
 * @throws ShapeError if a layer does not take this shape; ValueError for a transposed or grouped convolution
 */
export function sitesOf(model: Sequential, inputShape: Shape): Site[] {
  const ensemble = model.layers.some((layer) => layer instanceof EnsembleDense);
  const input = ensemble
    ? { shape: [inputShape[0], 1, ...inputShape.slice(2)], agents: inputShape[2] }
    : { shape: [1, ...inputShape.slice(1)], agents: inputShape[1] };
  return survey(model.layers, input, "").sites;
}

interface Stream {
  readonly shape: Shape;
  readonly agents: number;
}

interface Survey {
  readonly sites: Draft[];
  readonly output: Stream;
  /** Sites whose output nobody in these layers reads yet. */
  readonly unread: readonly Draft[];
  /** Those that read what came in, and whether it also goes out unread (a skip connection). */
  readonly first?: Draft;
}

function survey(layers: readonly Layer[], input: Stream, prefix: string): Survey {
  const sites: Draft[] = [];
  let stream = input;
  let unread: readonly Draft[] = [];
  let first: Draft | undefined;
  const readBy = (site: Draft | undefined): void => {
    if (!site) return;
    for (const earlier of unread) earlier.reader = site.name;
    unread = [];
    first ??= site;
  };
  for (const [index, layer] of layers.entries()) {
    const name = `${prefix}${index}`;
    if (layer instanceof Sequential || layer instanceof Residual) {
      const parts =
        layer instanceof Sequential
          ? [survey(layer.layers, stream, `${name}.`)]
          : [layer.body, layer.shortcut].flatMap((part, side) =>
              part ? [survey(part.layers, stream, `${name}.${side === 0 ? "body" : "shortcut"}.`)] : [],
            );
      readBy(parts.map((part) => part.first).find(Boolean));
      unread = [...unread, ...parts.flatMap((part) => part.unread)];
      sites.push(...parts.flatMap((part) => part.sites));
      stream = parts[0].output;
      continue;
    }
    const shape = layer.outputShape(stream.shape);
    if (layer instanceof Dense || layer instanceof EnsembleDense || layer instanceof Conv2d) {
      const site = siteAt(name, layer, stream);
      readBy(site);
      sites.push(site);
      unread = [site];
      stream = { shape, agents: site.receivers };
    } else {
      if (layer instanceof ConvTranspose2d) {
        throw new ValueError(
          `neurons: layer ${name} is a transposed convolution, and dense and convolution layers are taken`,
        );
      }
      stream = { shape, agents: stream.agents };
    }
  }
  return { sites, output: stream, unread, first };
}

function siteAt(name: string, layer: Site["layer"], { shape, agents }: Stream): Draft {
  const { weight, bias } = layer.parameters;
  if (layer instanceof Conv2d && (layer.config.groups ?? 1) !== 1) {
    throw new ValueError(
      `neurons: layer ${name} has ${layer.config.groups} groups, and convolutions of one group are taken`,
    );
  }
  const receivers = weight.shape[layer instanceof Conv2d ? 0 : weight.rank - 1];
  const members = layer instanceof EnsembleDense ? layer.config.members : 1;
  return { name, layer, weights: weight, bias, agents, receivers, members, inputShape: shape };
}

/** The axes of a site's weights over which a receiver's own stand. */
export function incomingAxes({ layer }: Pick<Site, "layer">): number[] {
  if (layer instanceof EnsembleDense) return [1];
  return layer instanceof Dense ? [0] : [1, 2, 3];
}

/** One number an agent ([agents], or [members, agents]) as a tensor that broadcasts over the weights. */
export function overSenders(values: Tensor, { layer, agents, members, weights }: Site): Tensor {
  if (layer instanceof EnsembleDense) return values.reshape([members, agents, 1]);
  if (layer instanceof Dense) {
    const units = weights.shape[0] / agents;
    return broadcastTo(values.reshape([agents, 1]), [agents, units]).reshape([agents * units, 1]);
  }
  return values.reshape([1, agents, 1, 1]);
}

/** One number a receiver ([receivers], or [members, receivers]) as a tensor that broadcasts over the weights. */
export function overReceivers(
  values: Tensor,
  { layer, receivers, members }: Pick<Site, "layer" | "receivers" | "members">,
): Tensor {
  if (layer instanceof EnsembleDense) return values.reshape([members, 1, receivers]);
  return values.reshape(layer instanceof Dense ? [receivers] : [receivers, 1, 1, 1]);
}
