/**
 * A forward pass of which every layer's input and output is kept, and the way back with rules of one's own:
 * what guided backpropagation, DeepLift, relevance propagation and Grad-CAM need beyond the layers' own
 * gradients. Activations run on their own here, not in the epilogue of the layer before, so that their inputs
 * are there.
 */
import { ValueError } from "../gpu/errors.js";
import type { Layer, LayerRecord, Saved } from "../layers/layer.js";
import { Residual, Sequential } from "../layers/sequential.js";
import { add } from "../ops/elementwise.js";
import type { Tensor } from "../tensor.js";

/** A layer that was passed. */
export interface Leaf {
  readonly kind: "leaf";
  /** Where it stands, as parameters are named: "4", "6.body.1". */
  readonly path: string;
  readonly layer: Layer;
  readonly x: Tensor;
  readonly y: Tensor;
  readonly saved: Saved;
  /** The layer before and the one behind in the same sequence. */
  before?: Leaf;
  behind?: Leaf;
}

/** Layers one behind the other. */
export interface Chain {
  readonly kind: "chain";
  readonly path: string;
  readonly nodes: readonly Trail[];
  readonly x: Tensor;
  readonly y: Tensor;
}

/** A residual block: y = body + skip. */
export interface Fork {
  readonly kind: "fork";
  readonly path: string;
  readonly body: Chain;
  /** Missing where the skip connection is the identity. */
  readonly shortcut?: Chain;
  readonly x: Tensor;
  readonly y: Tensor;
}

export type Trail = Leaf | Chain | Fork;

/** Goes forward in evaluation mode. Records ops; everything kept belongs to the scope around. */
export function follow(model: Sequential, x: Tensor, path = ""): Chain {
  const nodes: Trail[] = [];
  let y = x;
  let before: Leaf | undefined;
  model.layers.forEach((layer, index) => {
    const node = step(layer, y, path === "" ? `${index}` : `${path}.${index}`);
    if (node.kind === "leaf") {
      node.before = before;
      if (before) before.behind = node;
    }
    before = node.kind === "leaf" ? node : undefined;
    nodes.push(node);
    y = node.y;
  });
  return { kind: "chain", path, nodes, x, y };
}

function step(layer: Layer, x: Tensor, path: string): Trail {
  if (layer instanceof Sequential) return follow(layer, x, path);
  if (layer instanceof Residual) {
    const body = follow(layer.body, x, `${path}.body`);
    const shortcut = layer.shortcut && follow(layer.shortcut, x, `${path}.shortcut`);
    return { kind: "fork", path, body, shortcut, x, y: add(body.y, shortcut?.y ?? x) };
  }
  const { y, saved } = layer.forward(x);
  return { kind: "leaf", path, layer, x, y, saved };
}

/** Rules for the way back; where one is missing, gradients flow. */
export interface Rules {
  /** What goes to a layer's input, or undefined for its own `inputGrad`. */
  leaf?(leaf: Leaf, dy: Tensor): Tensor | undefined;
  /** What goes to the body and to the skip connection of a residual block; default dy to both. */
  fork?(fork: Fork, dy: Tensor): readonly [body: Tensor, skip: Tensor];
  /** Hears what arrives at the output of every layer and block. */
  arrive?(path: string, dy: Tensor): void;
}

/** Goes back from dy at the trail's output; records ops. @returns what arrives at its input */
export function goBack(trail: Trail, dy: Tensor, rules: Rules): Tensor {
  if (trail.kind === "chain") return trail.nodes.reduceRight((flow, node) => goBack(node, flow, rules), dy);
  rules.arrive?.(trail.path, dy);
  if (trail.kind === "leaf") {
    return rules.leaf?.(trail, dy) ?? trail.layer.inputGrad(dy, trail.saved);
  }
  const [toBody, toSkip] = rules.fork?.(trail, dy) ?? [dy, dy];
  const fromBody = goBack(trail.body, toBody, rules);
  return add(fromBody, trail.shortcut ? goBack(trail.shortcut, toSkip, rules) : toSkip);
}

/** All layers and blocks of a trail, from the input up, blocks behind what they hold. */
export function nodesOf(trail: Trail): (Leaf | Fork)[] {
  if (trail.kind === "leaf") return [trail];
  if (trail.kind === "chain") return trail.nodes.flatMap(nodesOf);
  return [...nodesOf(trail.body), ...(trail.shortcut ? nodesOf(trail.shortcut) : []), trail];
}

/**
 * The part of a network that ends with a layer: its output is that layer's. Shares the layers; never dispose
 * of it.
 * @param path the layer as parameters name it, or its index
 * @throws ValueError if there is no such layer
 */
export function upTo(model: Sequential, path: string | number): Sequential {
  const [index, branch, ...rest] = `${path}`.split(".");
  const position = Number(index);
  const layer = model.layers[position];
  if (!Number.isInteger(position) || index === "" || !layer) throw unknownLayer(model, path);
  const below = model.layers.slice(0, position);
  if (branch === undefined) return new Sequential([...below, layer]);
  if (layer instanceof Sequential) {
    return new Sequential([...below, ...upTo(layer, [branch, ...rest].join(".")).layers]);
  }
  const part = layer instanceof Residual && (branch === "body" || branch === "shortcut") && layer[branch];
  if (!part) throw unknownLayer(model, path);
  const inner = rest.length === 0 ? part : upTo(part, rest.join("."));
  return new Sequential([...below, ...inner.layers]);
}

function unknownLayer({ config }: { config: { layers: readonly LayerRecord[] } }, path: string | number) {
  const kinds = config.layers.map(({ kind }, index) => `${index} ${kind}`).join(", ");
  return new ValueError(
    `layer "${path}" does not exist; the model has ${kinds}; inside blocks name it as parameters are, "6.body.1"`,
  );
}
