// Depthwise convolution with a small kernel whose size is known when the kernel is compiled: each channel of the
// result reads one channel of x. Each invocation computes a strip of the result, TILE columns wide and up to
// `strip_rows` long. The rows of x under the kernel stand in registers and move up from row to row, so that an
// element is loaded once for all taps that a strip has for it.
//   forward         y[n, o, Y, X] = activate(bias[o] + Σ_i Σ_j w[o, i, j] · x[n, c, row, column])
//                   c = o / multiplier, row = Y · stride + i - padding, column alike
//   input gradient  with stride 1 the same with the taps in reverse order and other padding
// x: [images, channels / multiplier, height, width], zeros outside; w: [channels, KERNEL_Y, KERNEL_X]; bias:
// [channels]; y: [images, channels, rows, columns].

// @constants
const KERNEL_Y: u32 = 3u;
const KERNEL_X: u32 = 3u;
// At most KERNEL_Y and KERNEL_X.
const STRIDE_Y: u32 = 1u;
const STRIDE_X: u32 = 1u;
const TILE: u32 = 4u;
const WORKGROUP_SIZE: u32 = 32u;
// 0: a slope for negative sums, where 1 leaves them and 0 is ReLU; 3: tanh; 4: sigmoid.
const ACTIVATION: u32 = 0u;
const BLOCKS: u32 = TILE / 4u;
const TAPS: u32 = KERNEL_Y * KERNEL_X;
// Columns of x under the tile.
const SPAN: u32 = (TILE - 1u) * STRIDE_X + KERNEL_X;
// Rows that the next row of the result uses again.
const KEPT: u32 = KERNEL_Y - STRIDE_Y;
// @end

struct Params {
  images: u32,
  channels: u32,
  multiplier: u32,
  height: u32,
  width: u32,
  rows: u32,
  columns: u32,
  // Where the taps of the first row and column begin in x; before the edge as -1 and so on.
  start_y: i32,
  start_x: i32,
  // Whether the weights are taken from the last to the first.
  reversed: u32,
  strip_rows: u32,
  strips: u32,
  tiles: u32,
  has_bias: u32,
  slope: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

// tanh, accurate near 0 as WGSL's own is not: an odd polynomial below 0.65, else 1 - 2 / (e^2|v| + 1).
fn hyperbolic_tangent(v: vec4f) -> vec4f {
  let size = min(abs(v), vec4f(15.0));
  let z = size * size;
  var p = fma(z, vec4f(-0.005515161902), vec4f(0.02046941780));
  p = fma(p, z, vec4f(-0.05368802324));
  p = fma(p, z, vec4f(0.1333083063));
  p = fma(p, z, vec4f(-0.3333325983));
  let near = fma(size * z, p, size);
  let far = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
  let result = select(far, near, size < vec4f(0.65));
  return select(result, -result, v < vec4f(0.0));
}

fn activate(v: vec4f) -> vec4f {
  if (ACTIVATION == 3u) { return hyperbolic_tangent(v); }
  if (ACTIVATION == 4u) { return 1.0 / (1.0 + exp(-max(v, vec4f(-80.0)))); }
  // Not 0 · v where the slope is 0: that is NaN for -infinity.
  let negative = select(params.slope * v, vec4f(0.0), params.slope == 0.0);
  return select(v, negative, v < vec4f(0.0));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let first_column = index % params.tiles * TILE;
  let first_row = index / params.tiles % params.strips * params.strip_rows;
  let plane = index / (params.tiles * params.strips);
  if (plane >= params.images * params.channels) { return; }
  let end_row = min(first_row + params.strip_rows, params.rows);
  let count = params.columns - first_column;
  let channel = plane % params.channels;

  // @scalars
  var weight: array<vec4f, TAPS>;
  // @unroll
  for (var k = 0u; k < TAPS; k++) {
    weight[k] = vec4f(w[channel * TAPS + select(k, TAPS - 1u - k, params.reversed != 0u)]);
  }
  var offset = 0.0;
  if (params.has_bias != 0u) { offset = bias[channel]; }

  // As unsigned numbers, what lies before an edge of x is past the other one. What is read outside is not used.
  let left = first_column * STRIDE_X + u32(params.start_x);
  var x_row = first_row * STRIDE_Y + u32(params.start_y);
  let x_at = plane / params.multiplier * params.height * params.width + left;
  // @scalars
  var inside: array<bool, SPAN>;
  // @unroll
  for (var c = 0u; c < SPAN; c++) {
    inside[c] = left + c < params.width;
  }
  // @scalars
  var window: array<array<f32, SPAN>, KERNEL_Y>;
  // @unroll
  for (var r = 0u; r < KEPT; r++) {
    // @unroll
    for (var c = 0u; c < SPAN; c++) {
      window[r][c] = select(0.0, x[x_at + x_row * params.width + c], x_row < params.height && inside[c]);
    }
    x_row++;
  }
  var y_at = (plane * params.rows + first_row) * params.columns + first_column;
  for (var row = first_row; row < end_row; row++) {
    // @unroll
    for (var r = KEPT; r < KERNEL_Y; r++) {
      // @unroll
      for (var c = 0u; c < SPAN; c++) {
        window[r][c] = select(0.0, x[x_at + x_row * params.width + c], x_row < params.height && inside[c]);
      }
      x_row++;
    }
    // @unroll
    for (var b = 0u; b < BLOCKS; b++) {
      var sum = vec4f(0.0);
      // @unroll
      for (var i = 0u; i < KERNEL_Y; i++) {
        // @unroll
        for (var j = 0u; j < KERNEL_X; j++) {
          sum = fma(weight[i * KERNEL_X + j], vec4f(
            window[i][4u * b * STRIDE_X + j],
            window[i][(4u * b + 1u) * STRIDE_X + j],
            window[i][(4u * b + 2u) * STRIDE_X + j],
            window[i][(4u * b + 3u) * STRIDE_X + j]), sum);
        }
      }
      let v = activate(sum + offset);
      if (4u * b < count) { y[y_at + 4u * b] = v.x; }
      if (4u * b + 1u < count) { y[y_at + 4u * b + 1u] = v.y; }
      if (4u * b + 2u < count) { y[y_at + 4u * b + 2u] = v.z; }
      if (4u * b + 3u < count) { y[y_at + 4u * b + 3u] = v.w; }
    }
    y_at += params.columns;
    // @unroll
    for (var r = 0u; r < KEPT; r++) {
      // @unroll
      for (var c = 0u; c < SPAN; c++) {
        window[r][c] = window[r + STRIDE_Y][c];
      }
    }
  }
}
