/**
 * Images as what is optimized (Olah, Mordvintsev and Schubert, "Feature visualization", Distill 2017):
 * coefficients of waves, slow ones weighing more, in colors that natural images have independently of each
 * other.
 */
import type { Gpu } from "../gpu/gpu.js";
import { add, mul } from "../ops/elementwise.js";
import { matmul } from "../ops/matmul.js";
import { sigmoid, sigmoidGrad } from "../ops/activation.js";
import type { Shape, Tensor } from "../tensor.js";
import { tensor } from "../tensor.js";

/** As the reference implementation has it: the spectrum's images are divided by it. */
const FLATTENING = 4;
/** Square root of the covariance of colors in natural images, over its longest column. */
const COLORS = [
  [0.26, 0.09, 0.02],
  [0.27, 0.0, -0.05],
  [0.27, -0.09, 0.03],
] as const;

export interface ParametrizationOptions {
  readonly kind: "fourier" | "pixels";
  readonly decorrelate: boolean;
  /** What the darkest and the brightest pixel are. */
  readonly range: readonly [number, number];
}

/** Images [n, c, h, w] of coefficients [n, c, h, w], and the way back. */
export class Parametrization {
  private readonly waves?: { readonly down: Tensor; readonly across: Tensor; readonly scale: Tensor };
  private readonly colors?: Tensor;

  constructor(
    gpu: Gpu,
    private readonly shape: Shape,
    private readonly options: ParametrizationOptions,
  ) {
    const [, channels, height, width] = shape;
    if (options.kind === "fourier") {
      this.waves = {
        down: tensor(gpu, realWaves(height), [height, height]),
        across: tensor(gpu, realWaves(width), [width, width]),
        scale: tensor(gpu, waveScale(height, width), [height, width]),
      };
    }
    if (options.decorrelate && channels === 3) {
      const longest = Math.max(...[0, 1, 2].map((c) => Math.hypot(...COLORS.map((row) => row[c]))));
      this.colors = tensor(
        gpu,
        Float32Array.from(COLORS.flat(), (value) => value / longest),
        [3, 3],
      );
    }
  }

  /** range from low to high = low + (high - low) sigmoid(colors · waves of the coefficients) */
  forward(coefficients: Tensor): { image: Tensor; share: Tensor } {
    const [low, high] = this.options.range;
    const share = sigmoid(this.colored(this.waved(coefficients)));
    const image = low === 0 && high === 1 ? share : add(mul(share, high - low), low);
    return { image, share };
  }

  /** ∂/∂coefficients from ∂/∂image and the `share` of the forward pass. */
  backward(dimage: Tensor, share: Tensor): Tensor {
    const [low, high] = this.options.range;
    const dshare = sigmoidGrad(low === 0 && high === 1 ? dimage : mul(dimage, high - low), share);
    return this.waved(this.colored(dshare, true), true);
  }

  dispose(): void {
    const { down, across, scale } = this.waves ?? {};
    for (const held of [down, across, scale, this.colors]) held?.dispose();
  }

  /** downᵀ (scale · S) across of each plane, or its transpose. */
  private waved(x: Tensor, transposed = false): Tensor {
    if (!this.waves) return x;
    const { down, across, scale } = this.waves;
    const [count, channels, height, width] = this.shape;
    const planes = [count * channels, height, width];
    const given = (transposed ? x : mul(x, scale)).reshape(planes);
    const rows = matmul(given, across, { transposeB: transposed });
    const both = matmul(down, rows, { transposeA: !transposed }).reshape(this.shape);
    return transposed ? mul(both, scale) : both;
  }

  private colored(x: Tensor, transposed = false): Tensor {
    if (!this.colors) return x;
    const [count, channels, height, width] = this.shape;
    const pixels = x.reshape([count, channels, height * width]);
    return matmul(this.colors, pixels, { transposeA: transposed }).reshape(this.shape);
  }
}

/** An orthonormal basis of real waves, a row each: the constant, then cosine and sine of each frequency. */
export function realWaves(size: number): Float32Array {
  const basis = new Float32Array(size * size);
  for (let row = 0; row < size; row++) {
    const turns = Math.ceil(row / 2);
    const isSine = row % 2 === 0 && row > 0;
    const single = row === 0 || (size % 2 === 0 && row === size - 1);
    for (let at = 0; at < size; at++) {
      const angle = (2 * Math.PI * turns * at) / size;
      basis[row * size + at] =
        (isSine ? Math.sin(angle) : Math.cos(angle)) * Math.sqrt((single ? 1 : 2) / size);
    }
  }
  return basis;
}

/** 1 / frequency in turns a pixel, and that of one turn an image for the constant; over `FLATTENING`. */
function waveScale(height: number, width: number): Float32Array {
  return Float32Array.from({ length: height * width }, (_, i) => {
    const [down, across] = [
      Math.ceil(Math.floor(i / width) / 2) / height,
      Math.ceil((i % width) / 2) / width,
    ];
    return 1 / Math.max(Math.hypot(down, across), 1 / Math.max(height, width)) / FLATTENING;
  });
}
