// Input gradient of a convolution, or its transpose, with few channels of the result: the first layer of a network in attacks
// and saliency maps, the last one of a generator. With one to four channels a lane's tile of channels × positions has little
// to share; here it shares each value of dy between all taps and positions of a piece of the image.
//   dx[n][o][Y][X] = activate(Σ_c Σ_(i, j) dy[n][c][(Y + padding - i) / stride][…] · w[c][o][i][j] + bias[o])
// over the taps with whole quotients inside dy. dy: [images, groups · inputs, height, width]; w: [groups · inputs, OUTPUTS,
// KERNEL_Y, KERNEL_X]; bias: [groups · OUTPUTS]; dx: [images, groups · OUTPUTS, rows, columns].
// With Y + padding = q · stride + r the taps i = r + t · stride meet dy's row q - t: an invocation has TILE_Y × TILE_X
// places (q, p) with all r of each, so that (TILE_Y + reach - 1) × (TILE_X + reach - 1) values of dy serve all its taps.
// Four channels of dy are multiplied at a time, so that a sum goes back to its variable once for four products.

// @constants
const WORKGROUP_SIZE: u32 = 32u;
const OUTPUTS: u32 = 1u;
const KERNEL_Y: u32 = 3u;
const KERNEL_X: u32 = 3u;
const STRIDE_Y: u32 = 1u;
const STRIDE_X: u32 = 1u;
const TILE_Y: u32 = 4u;
const TILE_X: u32 = 4u;
const WHOLE: bool = true;
// Whether the activation is tanh or sigmoid: SwiftShader computes both sides of an if, for every value.
const CURVED: bool = false;
const TAPS: u32 = KERNEL_Y * KERNEL_X;
const REACH_Y: u32 = (KERNEL_Y + STRIDE_Y - 1u) / STRIDE_Y;
const REACH_X: u32 = (KERNEL_X + STRIDE_X - 1u) / STRIDE_X;
const PATCH_Y: u32 = TILE_Y + REACH_Y - 1u;
const PATCH_X: u32 = TILE_X + REACH_X - 1u;
const OUT_Y: u32 = TILE_Y * STRIDE_Y;
const OUT_X: u32 = TILE_X * STRIDE_X;
// @end

struct Params {
  images: u32,
  groups: u32,
  inputs: u32,
  height: u32,
  width: u32,
  rows: u32,
  columns: u32,
  padding_y: u32,
  padding_x: u32,
  tiles_y: u32,
  tiles_x: u32,
  has_bias: u32,
  activation: u32,
  slope: f32,
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

// tanh, accurate near 0 as WGSL's own is not: an odd polynomial below 0.65, else 1 - 2 / (e^2|v| + 1).
fn hyperbolic_tangent(v: f32) -> f32 {
  let size = min(abs(v), 15.0);
  let z = size * size;
  var p = fma(z, -0.005515161902, 0.02046941780);
  p = fma(p, z, -0.05368802324);
  p = fma(p, z, 0.1333083063);
  p = fma(p, z, -0.3333325983);
  let near = fma(size * z, p, size);
  let far = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
  let result = select(far, near, size < 0.65);
  return select(result, -result, v < 0.0);
}

fn activate(v: f32) -> f32 {
  if (CURVED) {
    if (params.activation == 3u) { return hyperbolic_tangent(v); }
    return 1.0 / (1.0 + exp(-max(v, -80.0)));
  }
  // Not 0 · v where the slope is 0: that is NaN for -infinity.
  let negative = select(params.slope * v, 0.0, params.slope == 0.0);
  return select(v, negative, v < 0.0);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let tile_x = index % params.tiles_x;
  let tile_y = index / params.tiles_x % params.tiles_y;
  let planes = index / (params.tiles_x * params.tiles_y);
  if (planes >= params.images * params.groups) { return; }
  let first_q = tile_y * TILE_Y;
  let first_p = tile_x * TILE_X;
  let plane = params.height * params.width;

  // The rows and columns of dy from q - reach + 1 on; as unsigned numbers, what lies before an edge is past the other.
  // @scalars
  var row_at: array<u32, PATCH_Y>;
  // @scalars
  var row_inside: array<bool, PATCH_Y>;
  // @unroll
  for (var a = 0u; a < PATCH_Y; a++) {
    let row = first_q + a + 1u - REACH_Y;
    row_inside[a] = row < params.height;
    row_at[a] = planes * params.inputs * plane + row * params.width + first_p + 1u - REACH_X;
  }
  // @scalars
  var column_inside: array<bool, PATCH_X>;
  // @unroll
  for (var b = 0u; b < PATCH_X; b++) {
    column_inside[b] = first_p + b + 1u - REACH_X < params.width;
  }

  // @scalars
  var sum: array<array<array<f32, OUT_X>, OUT_Y>, OUTPUTS>;
  // @scalars
  var piece: array<array<vec4f, PATCH_X>, PATCH_Y>;
  var w_at = planes % params.groups * params.inputs * OUTPUTS * TAPS;
  for (var c = 0u; c < params.inputs; c += 4u) {
    let there = vec4<bool>(WHOLE) | (c + vec4u(0u, 1u, 2u, 3u) < vec4u(params.inputs));
    // @unroll
    for (var a = 0u; a < PATCH_Y; a++) {
      // @unroll
      for (var b = 0u; b < PATCH_X; b++) {
        let at = row_at[a] + b;
        let four = vec4f(dy[at], dy[at + plane], dy[at + 2u * plane], dy[at + 3u * plane]);
        piece[a][b] = select(vec4f(0.0), four, there & vec4<bool>(row_inside[a] && column_inside[b]));
      }
      row_at[a] += 4u * plane;
    }
    // @unroll
    for (var o = 0u; o < OUTPUTS; o++) {
      // @unroll
      for (var r = 0u; r < STRIDE_Y; r++) {
        // @unroll
        for (var s = 0u; s < STRIDE_X; s++) {
          // @unroll
          for (var t = 0u; t < (KERNEL_Y + STRIDE_Y - 1u - r) / STRIDE_Y; t++) {
            // @unroll
            for (var u = 0u; u < (KERNEL_X + STRIDE_X - 1u - s) / STRIDE_X; u++) {
              let at = w_at + o * TAPS + (r + t * STRIDE_Y) * KERNEL_X + s + u * STRIDE_X;
              let step = OUTPUTS * TAPS;
              let four = select(vec4f(0.0), vec4f(w[at], w[at + step], w[at + 2u * step], w[at + 3u * step]), there);
              // @unroll
              for (var q = 0u; q < TILE_Y; q++) {
                // @unroll
                for (var p = 0u; p < TILE_X; p++) {
                  sum[o][q * STRIDE_Y + r][p * STRIDE_X + s] += dot(four, piece[q + REACH_Y - 1u - t][p + REACH_X - 1u - u]);
                }
              }
            }
          }
        }
      }
    }
    w_at += 4u * OUTPUTS * TAPS;
  }

  // A loop over the stores, which are long texts: unrolled they would take most of the compile time.
  var result: array<array<array<f32, OUT_X>, OUT_Y>, OUTPUTS>;
  // @unroll
  for (var o = 0u; o < OUTPUTS; o++) {
    // @unroll
    for (var q = 0u; q < OUT_Y; q++) {
      // @unroll
      for (var p = 0u; p < OUT_X; p++) {
        result[o][q][p] = sum[o][q][p];
      }
    }
  }
  for (var o = 0u; o < OUTPUTS; o++) {
    let offset = select(0.0, bias[min(planes % params.groups * OUTPUTS + o, arrayLength(&bias) - 1u)], params.has_bias != 0u);
    let plane_at = (planes * OUTPUTS + o) * params.rows * params.columns;
    for (var q = 0u; q < OUT_Y; q++) {
      let row = first_q * STRIDE_Y + q - params.padding_y;
      if (row >= params.rows) { continue; }
      for (var p = 0u; p < OUT_X; p++) {
        let column = first_p * STRIDE_X + p - params.padding_x;
        if (column < params.columns) {
          dx[plane_at + row * params.columns + column] = activate(result[o][q][p] + offset);
        }
      }
    }
  }
}
