/**
 * What an attack raises: losses of single samples, never of a batch, with their gradients and who is lost.
 */
import classLossWgsl from "../../shaders/attack_class_loss.wgsl";
import scoreLossWgsl from "../../shaders/attack_score_loss.wgsl";
import { ShapeError, ValueError } from "../gpu/errors.js";
import { defineKernel, gridFor, type Shape, type Shapes, sizeOf } from "../gpu/kernel.js";
import type { Tensor } from "../tensor.js";

/** What the samples of a batch are, and what they are to be taken for. */
export interface Aims {
  /** u32 [n]: the class of each sample; for a score 1 lowers it and 0 raises it. */
  readonly labels?: Tensor;
  /** u32 [n]: the class that each sample is to be taken for. */
  readonly targets?: Tensor;
  /** With targets: any wrong class counts as success, and the target is only the way to it. Default false. */
  readonly anyClass?: boolean;
}

/** A loss of the samples of one batch. */
export interface Judged {
  /** [n]: what the attack raises. */
  readonly loss: Tensor;
  /** The gradient of the sum of the losses, of y's shape. */
  readonly dy: Tensor;
  /** u32 [n], 1 where the attack has its way; left out if there is no such thing. */
  readonly success?: Tensor;
}

/**
 * A loss: any function of the model's output that records ops.
 * @example
 * const brightness: AttackLoss = (y) => ({ loss: sum(y, { axes: [1] }), dy: full(y.gpu, y.shape, 1) });
 */
export interface AttackLoss {
  (y: Tensor, aims: Aims): Judged;
  /**
   * Whether y are logits and labels are needed: attacks without labels then take the model's own predictions.
   */
  readonly ofClasses?: boolean;
}

/**
 * The value of `LOSS` in attack_class_loss.wgsl, and how many classes the loss takes: untargeted, targeted.
 */
const CLASS_LOSSES = {
  crossEntropyLoss: { code: 0, classes: [2, 2] },
  marginLoss: { code: 1, classes: [2, 2] },
  dlrLoss: { code: 2, classes: [3, 4] },
} as const;

type ClassLossName = keyof typeof CLASS_LOSSES;

const WORKGROUP_SIZE = 64;
const NAN_BITS = 0x7fc00000;

const classKernel = defineKernel<{ name: ClassLossName; anyClass: boolean }>({
  name: "attack_class_loss",
  wgsl: classLossWgsl,
  bindings: {
    logits: "read",
    labels: "optional",
    targets: "optional",
    loss: "write",
    success: "write",
    dlogits: "write",
  },
  constants: (_shapes, { name, anyClass }) => ({ LOSS: CLASS_LOSSES[name].code, ANY_CLASS: anyClass }),
  shape: (inputs, { name, anyClass }) => {
    const { logits } = inputs;
    checkAims(name, inputs, anyClass);
    return { loss: [logits[0]], success: [logits[0]], dlogits: logits };
  },
  uniforms: ({ logits }) => ({ count: logits[0], classes: logits[1], nan_bits: NAN_BITS }),
  grid: ({ logits }, limits) => gridFor(logits[0], WORKGROUP_SIZE, limits),
  work: ({ logits }) => 60 * sizeOf(logits),
});

function checkAims(name: ClassLossName, { logits, labels, targets }: Shapes, anyClass: boolean): void {
  const needed = CLASS_LOSSES[name].classes[targets ? 1 : 0];
  if (logits.length !== 2 || logits[1] < needed) {
    throw new ShapeError(
      `${name}: y has shape [${logits}], and logits [n, classes] of at least ${needed} classes are taken` +
        `${name === "dlrLoss" ? " (crossEntropyLoss and marginLoss take fewer)" : ""}; ` +
        `for a score take scoreLoss`,
    );
  }
  if (!labels && (!targets || name === "dlrLoss" || anyClass))
    throw new ValueError(`${name}: labels are missing; give the class of each sample`);
  for (const [argument, shape] of Object.entries({ labels, targets })) {
    if (shape && (shape.length !== 1 || shape[0] !== logits[0]))
      throw new ShapeError(`${name}: ${argument} has shape [${shape}], and [${logits[0]}] is taken`);
  }
}

function classLoss(name: ClassLossName): AttackLoss {
  const loss = (logits: Tensor, { labels, targets, anyClass = false }: Aims): Judged => {
    const result = classKernel.run({ logits, labels, targets }, { name, anyClass });
    return { loss: result.loss, success: result.success, dy: result.dlogits };
  };
  return Object.assign(loss, { ofClasses: true });
}

/**
 * Cross-entropy of the label, or minus that of the target. Its gradient vanishes where the model is so sure
 * that all other probabilities are 0 in float32 (logits about 88 apart): such samples are counted, and
 * `dlrLoss` attacks them.
 */
export const crossEntropyLoss: AttackLoss = classLoss("crossEntropyLoss");

/** The largest other logit less the label's; targeted: the target's less the largest other one. */
export const marginLoss: AttackLoss = classLoss("marginLoss");

/**
 * The difference of logits ratio of Croce and Hein (ICML 2020), which does not change when logits are shifted
 * or scaled. Takes at least 3 classes, 4 if targeted.
 */
export const dlrLoss: AttackLoss = classLoss("dlrLoss");

interface ScoreCall {
  readonly direction: number;
  readonly threshold?: number;
}

const scoreKernel = defineKernel<ScoreCall>({
  name: "attack_score_loss",
  wgsl: scoreLossWgsl,
  bindings: { y: "read", labels: "optional", loss: "write", success: "write", dy: "write" },
  constants: (_shapes, { threshold }) => ({ HAS_THRESHOLD: threshold !== undefined }),
  shape: ({ y, labels }) => {
    const samples = y[0];
    const isScore = y.length === 1 || (y.length === 2 && y[1] === 1);
    if (!isScore) {
      throw new ShapeError(
        `scoreLoss: y has shape [${y}], and one score a sample, [n] or [n, 1], is taken; for logits take ` +
          `crossEntropyLoss or another loss of classes`,
      );
    }
    if (labels && (labels.length !== 1 || labels[0] !== samples))
      throw new ShapeError(`scoreLoss: labels has shape [${labels}], and [${samples}] is taken`);
    const one: Shape = [samples];
    return { loss: one, success: one, dy: y };
  },
  uniforms: ({ y }, { direction, threshold = 0 }) => ({ count: y[0], direction, threshold }),
  grid: ({ y }, limits) => gridFor(y[0], WORKGROUP_SIZE, limits),
});

export interface ScoreLossOptions {
  /** Which way the score goes, unless labels say it for each sample. Default "up". */
  readonly direction?: "up" | "down";
  /** What the score must pass for the attack to count as a success; without it there is none. */
  readonly threshold?: number;
}

/**
 * A score itself, raised or lowered: with labels 1 (in) lowers it and 0 (out) raises it, which is what an
 * attack on both sides of a detector does. Attack the logit and not its sigmoid, which is flat from about 17.
 * @example
 * const both = pgd({ epsilon: 8 / 255, loss: scoreLoss() });
 * await attack(score, images, both, { labels: isInside });
 */
export function scoreLoss({ direction = "up", threshold }: ScoreLossOptions = {}): AttackLoss {
  if (direction !== "up" && direction !== "down")
    throw new ValueError(`scoreLoss: direction is ${direction}, and "up" or "down" is taken`);
  if (threshold !== undefined && !Number.isFinite(threshold))
    throw new ValueError(`scoreLoss: threshold is ${threshold}, and a finite number is taken`);
  return (y, { labels }) => {
    const call = { direction: direction === "up" ? 1 : -1, threshold };
    const { loss, dy, success } = scoreKernel.run({ y, labels }, call);
    return threshold === undefined ? { loss, dy } : { loss, dy, success };
  };
}
