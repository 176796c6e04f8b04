/** Many networks of one architecture at once: their weights stacked, so that a layer of all of them is one product. */
import { ShapeError, ValueError } from "../gpu/errors.js";
import { add } from "../ops/elementwise.js";
import { concat } from "../ops/concat.js";
import { matmul } from "../ops/matmul.js";
import { sum } from "../ops/reduce.js";
import type { Shape, Tensor } from "../tensor.js";
import { Activation } from "./activation.js";
import { Dense } from "./dense.js";
import { disposeAll, type Forward, type Layer, NO_TENSORS, type Saved, type Tensors } from "./layer.js";
import { Sequential } from "./sequential.js";

export interface EnsembleDenseRecord {
  readonly kind: "ensembleDense";
  readonly members: number;
  readonly inputs: number;
  readonly outputs: number;
}

/**
 * The dense layers of several networks: x [members, n, inputs] → y [members, n, outputs], each member by its own
 * weight: [members, inputs, outputs] and bias: [members, outputs].
 */
export class EnsembleDense implements Layer {
  readonly config: EnsembleDenseRecord;
  readonly buffers = NO_TENSORS;

  /** Takes the tensors over. @throws ShapeError */
  constructor(readonly parameters: { readonly weight: Tensor; readonly bias?: Tensor }) {
    const { weight, bias } = parameters;
    const [members, inputs, outputs] = weight.shape;
    if (weight.rank !== 3 || (bias && bias.shape.join() !== [members, outputs].join())) {
      throw new ShapeError(
        `ensembleDense: weight has shape [${weight.shape}] and bias [${bias?.shape}]; [members, inputs, outputs] and ` +
          `[members, outputs] are taken`,
      );
    }
    this.config = { kind: "ensembleDense", members, inputs, outputs };
  }

  outputShape(input: Shape): Shape {
    const { members, inputs, outputs } = this.config;
    if (input.length !== 3 || input[0] !== members || input[2] !== inputs)
      throw new ShapeError(`ensembleDense: x has shape [${input}], and [${members}, n, ${inputs}] is taken`);
    return [members, input[1], outputs];
  }

  forward(x: Tensor): Forward {
    this.outputShape(x.shape);
    const { weight, bias } = this.parameters;
    const y = matmul(x, weight);
    if (bias) add(y, bias.reshape([weight.shape[0], 1, weight.shape[2]]), { out: y });
    return { y, saved: { tensors: { x }, inputShape: x.shape } };
  }

  /** dx = dy Wᵀ, a member */
  inputGrad(dy: Tensor): Tensor {
    return matmul(dy, this.parameters.weight, { transposeB: true });
  }

  /** dW = xᵀ dy, db = the sum of dy over the batch, a member */
  weightGrads(dy: Tensor, { tensors }: Saved): Tensors {
    const weight = matmul(tensors.x, dy, { transposeA: true });
    return this.parameters.bias ? { weight, bias: sum(dy, { axes: [1] }) } : { weight };
  }

  dispose(): void {
    disposeAll(this.parameters as Tensors);
  }
}

/**
 * Stacks networks of one architecture, of dense layers and activations, into one that runs all at once: its input is
 * [members, n, inputs] and every parameter has the members as its first dimension. The networks stay as they are.
 * @throws ValueError for no networks or another kind of layer; ShapeError if they do not fit each other
 * @example
 * const all = stackModels(seeds.map((seed) => buildModel(gpu, [dense(784, 128), activation("relu"), dense(128, 10)], { seed })));
 */
export function stackModels(models: readonly Sequential[]): Sequential {
  const [first] = models;
  if (!first) throw new ValueError("stackModels: models is empty, and at least one network is taken");
  const layers: Layer[] = [];
  try {
    for (const [index, layer] of first.layers.entries()) {
      const alike = models.map((model) => model.layers[index]);
      if (layer instanceof Activation) layers.push(new Activation(layer.config));
      else if (alike.every((one) => one instanceof Dense)) layers.push(stackDense(alike as Dense[]));
      else {
        throw new ValueError(
          `stackModels: layer ${index} is of kind ${layer.config.kind}, and dense layers and activations are taken`,
        );
      }
    }
  } catch (error) {
    for (const layer of layers) layer.dispose();
    throw error;
  }
  return new Sequential(layers);
}

function stackDense(layers: readonly Dense[]): EnsembleDense {
  const stacked = (name: string): Tensor =>
    layers[0].parameters[name].gpu.scope(() =>
      concat(
        layers.map(({ parameters }) => parameters[name].reshape([1, ...parameters[name].shape])),
        0,
      ),
    );
  const weight = stacked("weight");
  return new EnsembleDense(layers[0].parameters.bias ? { weight, bias: stacked("bias") } : { weight });
}
