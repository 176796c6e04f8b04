// Depthwise convolution with stride 1: each channel of the result reads one channel of x. Each invocation
// keeps TILE neighbors of one row of the result in registers and slides over each row of x under it, so that
// every element is loaded once for all the taps of a row.
//   forward         y[n, o, Y, X] = activate(bias[o] + Σ_i Σ_j w[o, i, j] · x[n, c, row, column])
//                   c = o / multiplier, row = Y + i · dilation - padding, column = X + j - padding
//   input gradient  the same with row = Y + padding - i · dilation, column = X + padding - j
// x: [images, channels / multiplier, height, width], zeros outside; w: [channels, kernel_height,
// kernel_width]; bias: [channels]; y: [images, channels, rows, columns].

// @constants
const TILE: u32 = 8u;
const WORKGROUP_SIZE: u32 = 32u;
// Whether the activation is tanh or sigmoid: SwiftShader computes both sides of an if, for every value.
const CURVED: bool = false;
const UNROLL: bool = true;
const BLOCKS: u32 = TILE / 4u;
// @end

struct Params {
  images: u32,
  channels: u32,
  multiplier: u32,
  height: u32,
  width: u32,
  rows: u32,
  columns: u32,
  kernel_height: u32,
  kernel_width: u32,
  // From the result to x: by how many rows the first tap is off and the next one further, and by how many
  // columns the leftmost tap of a row.
  start_y: i32,
  tap_step_y: i32,
  start_x: i32,
  // 1 where the leftmost tap of a row is its last.
  reversed: u32,
  tiles_x: u32,
  has_bias: u32,
  // 0: a slope for negative sums, where 1 leaves them and 0 is ReLU; 3: tanh; 4: sigmoid.
  activation: u32,
  slope: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

fn load(row_at: u32, column: i32) -> f32 {
  let inside = u32(column) < params.width;
  return select(0.0, x[row_at + select(0u, u32(column), inside)], inside);
}

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
  if (CURVED) {
    if (params.activation == 3u) { return hyperbolic_tangent(v); }
    return 1.0 / (1.0 + exp(-max(v, vec4f(-80.0))));
  }
  // Not 0 · v where the slope is 0: that is NaN for -infinity.
  let negative = select(params.slope * v, vec4f(0.0), params.slope == 0.0);
  return select(v, negative, v < vec4f(0.0));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let first_column = index % params.tiles_x * TILE;
  let row = index / params.tiles_x % params.rows;
  let plane = index / (params.tiles_x * params.rows);
  if (plane >= params.images * params.channels) { return; }
  let channel = plane % params.channels;
  let x_at = plane / params.multiplier * params.height * params.width;
  let w_at = channel * params.kernel_height * params.kernel_width;

  // @scalars
  var sum: array<vec4f, BLOCKS>;
  // @scalars
  var window: array<vec4f, BLOCKS>;
  for (var i = 0u; i < params.kernel_height; i++) {
    let x_row = i32(row) + params.start_y + i32(i) * params.tap_step_y;
    if (u32(x_row) >= params.height) { continue; }
    let row_at = x_at + u32(x_row) * params.width;
    let left = i32(first_column) + params.start_x;
    // The window stands one element short of the first tap's.
    // @unroll
    for (var b = 0u; b < BLOCKS; b++) {
      window[b] = vec4f(
        load(row_at, left + i32(4u * b) - 1),
        load(row_at, left + i32(4u * b)),
        load(row_at, left + i32(4u * b + 1u)),
        load(row_at, left + i32(4u * b + 2u)));
    }
    for (var j = 0u; j < params.kernel_width; j++) {
      // @unroll
      for (var b = 0u; b < BLOCKS - 1u; b++) {
        window[b] = vec4f(window[b].yzw, window[b + 1u].x);
      }
      window[BLOCKS - 1u] = vec4f(window[BLOCKS - 1u].yzw, load(row_at, left + i32(j + TILE - 1u)));
      let tap = select(j, params.kernel_width - 1u - j, params.reversed != 0u);
      let weight = vec4f(w[w_at + i * params.kernel_width + tap]);
      // @unroll
      for (var b = 0u; b < BLOCKS; b++) {
        sum[b] = fma(weight, window[b], sum[b]);
      }
    }
  }

  var offset = 0.0;
  if (params.has_bias != 0u) { offset = bias[channel]; }
  let y_at = (plane * params.rows + row) * params.columns + first_column;
  let count = params.columns - first_column;
  // @unroll
  for (var b = 0u; b < BLOCKS; b++) {
    let v = activate(sum[b] + offset);
    if (4u * b < count) { y[y_at + 4u * b] = v.x; }
    if (4u * b + 1u < count) { y[y_at + 4u * b + 1u] = v.y; }
    if (4u * b + 2u < count) { y[y_at + 4u * b + 2u] = v.z; }
    if (4u * b + 3u < count) { y[y_at + 4u * b + 3u] = v.w; }
  }
}
