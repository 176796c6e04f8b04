// Convolution as a matrix product whose second matrix is never stored (implicit GEMM): of the weights, channels of
// the result by taps, and of the windows of x, taps by positions, a workgroup gathers DEPTH taps of SIDE channels and
// SIDE positions into its memory, and each of its GROUP × GROUP invocations computes TILE × TILE results from them.
// The form for GPUs, whose workgroup memory is far faster than their caches and whose barriers are cheap.
//   forward         y[n, o, Y, X] = activate(bias[o] + Σ_i Σ_j Σ_c w[o, c, i, j] · x[n, c, row, column])
//                   row = Y · stride + i · dilation - padding
//   input gradient  (and transposed convolution) row = (Y + padding - i · dilation) / stride, where that is whole
// Shapes, parameters, and the phases of the second form are those of conv2d_register_tile.

// @constants
const TILE: u32 = 4u;
const GROUP: u32 = 8u;
const DEPTH: u32 = 16u;
const HAS_BIAS: bool = false;
const ACTIVATION: u32 = 0u;
const UNROLL: bool = true;
const SIDE: u32 = TILE * GROUP;
// Invocations that load one channel and one position, each every LOADERS-th tap of them.
const LOADERS: u32 = GROUP * GROUP / SIDE;
// @end

struct Params {
  images: u32,
  groups: u32,
  inputs: u32,
  outputs: u32,
  height: u32,
  width: u32,
  rows: u32,
  columns: u32,
  kernel_height: u32,
  kernel_width: u32,
  w_input: u32,
  w_output: u32,
  step_y: u32,
  step_x: u32,
  tap_step_y: i32,
  tap_step_x: i32,
  skip_y: u32,
  skip_x: u32,
  offset_y: i32,
  offset_x: i32,
  dilation_y: u32,
  dilation_x: u32,
  phases_y: u32,
  phases_x: u32,
  tiles_o: u32,
  slope: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

// w_tile[p · SIDE + channel] and x_tile[p · SIDE + position].
var<workgroup> w_tile: array<f32, DEPTH * SIDE>;
var<workgroup> x_tile: array<f32, DEPTH * SIDE>;

struct Taps {
  first: u32,
  count: u32,
  // Where the first tap stands in x for the first position of the phase.
  start: i32,
}

fn taps_of(phase: u32, phases: u32, offset: i32, kernel: u32, dilation: u32, skip: u32) -> Taps {
  let place = i32(phase) + offset;
  var first = 0u;
  while (first < skip && (place - i32(first * dilation)) % i32(phases) != 0) { first++; }
  if (first >= min(skip, kernel)) { return Taps(0u, 0u, 0); }
  return Taps(first, (kernel - first + skip - 1u) / skip, (place - i32(first * dilation)) / i32(phases));
}

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
  if (ACTIVATION == 1u) { return select(v, 0.0, v < 0.0); }
  if (ACTIVATION == 2u) { return select(params.slope * v, v, v > 0.0); }
  if (ACTIVATION == 3u) { return hyperbolic_tangent(v); }
  if (ACTIVATION == 4u) { return 1.0 / (1.0 + exp(-max(v, -80.0))); }
  return v;
}

@compute @workgroup_size(GROUP, GROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  var rest = group.x + group.y * groups.x;
  let first_o = rest % params.tiles_o * SIDE;
  rest /= params.tiles_o;
  let phase_x = rest % params.phases_x;
  rest /= params.phases_x;
  let phase_y = rest % params.phases_y;
  rest /= params.phases_y;
  let channel_group = rest % params.groups;
  let first_p = rest / params.groups * SIDE;
  if (phase_y >= params.rows || phase_x >= params.columns) { return; }
  // Rows and columns of the phase, and its positions in all images.
  let columns = (params.columns - phase_x + params.phases_x - 1u) / params.phases_x;
  let rows = (params.rows - phase_y + params.phases_y - 1u) / params.phases_y;
  let positions = params.images * rows * columns;
  if (first_p >= positions) { return; }
  let taps_y = taps_of(
    phase_y, params.phases_y, params.offset_y, params.kernel_height, params.dilation_y, params.skip_y);
  let taps_x = taps_of(
    phase_x, params.phases_x, params.offset_x, params.kernel_width, params.dilation_x, params.skip_x);

  // What this invocation loads: a channel of the weights and a position of x, and where its window begins.
  let lane = thread % SIDE;
  let position = first_p + lane;
  let has_channel = first_o + lane < params.outputs;
  let has_position = position < positions;
  let plane = params.height * params.width;
  let window_y = i32(position / columns % rows * params.step_y) + taps_y.start;
  let window_x = i32(position % columns * params.step_x) + taps_x.start;
  let image_at = (position / (columns * rows) * params.groups + channel_group) * params.inputs * plane;
  let filter_at = channel_group * params.inputs * params.outputs * params.kernel_height * params.kernel_width
    + (first_o + lane) * params.w_output;
  // The walk: input channel c of tap (i, j), channels first.
  var c = thread / SIDE;
  var i = 0u;
  var j = 0u;
  var moved = true;
  var w_at = 0u;
  var x_at = 0u;
  var inside = false;

  // @scalars
  var sum: array<array<f32, TILE>, TILE>;
  // @scalars
  var weight: array<f32, TILE>;
  let depth = params.inputs * taps_y.count * taps_x.count;
  for (var p0 = 0u; p0 < depth; p0 += DEPTH) {
    for (var p = thread / SIDE; p < DEPTH; p += LOADERS) {
      while (c >= params.inputs && i < taps_y.count) {
        c -= params.inputs;
        j++;
        if (j == taps_x.count) {
          j = 0u;
          i++;
        }
        moved = true;
      }
      if (moved) {
        moved = false;
        let row = window_y + i32(i) * params.tap_step_y;
        let column = window_x + i32(j) * params.tap_step_x;
        inside = has_position && i < taps_y.count && u32(row) < params.height && u32(column) < params.width;
        x_at = image_at + u32(row) * params.width + u32(column);
        w_at = filter_at + (taps_y.first + i * params.skip_y) * params.kernel_width + taps_x.first + j * params.skip_x;
      }
      // What is read past the last tap, channel or position is not used.
      w_tile[p * SIDE + lane] = select(0.0, w[w_at + c * params.w_input], has_channel && i < taps_y.count);
      x_tile[p * SIDE + lane] = select(0.0, x[x_at + c * plane], inside);
      c += LOADERS;
    }
    workgroupBarrier();
    // Not up to DEPTH: where that is known, lavapipe unrolls the loop and compiles it for seconds.
    for (var p = 0u; p < min(DEPTH, depth - p0); p++) {
      // @unroll
      for (var m = 0u; m < TILE; m++) {
        weight[m] = w_tile[p * SIDE + local.y * TILE + m];
      }
      // @unroll
      for (var n = 0u; n < TILE; n++) {
        // Neighbors have neighboring positions: they read other banks and store side by side.
        let v = x_tile[p * SIDE + local.x + n * GROUP];
        // @unroll
        for (var m = 0u; m < TILE; m++) {
          sum[m][n] = fma(weight[m], v, sum[m][n]);
        }
      }
    }
    workgroupBarrier();
  }

  let y_plane = params.rows * params.columns;
  // @unroll
  for (var n = 0u; n < TILE; n++) {
    let at = first_p + local.x + n * GROUP;
    if (at < positions) {
      let row = phase_y + at / columns % rows * params.phases_y;
      let column = phase_x + at % columns * params.phases_x;
      let image = at / (columns * rows);
      let first = (image * params.groups + channel_group) * params.outputs;
      let place = row * params.columns + column;
      // @unroll
      for (var m = 0u; m < TILE; m++) {
        let channel = first_o + local.y * TILE + m;
        if (channel < params.outputs) {
          var offset = 0.0;
          if (HAS_BIAS) { offset = bias[channel_group * params.outputs + channel]; }
          y[(first + channel) * y_plane + place] = activate(sum[m][n] + offset);
        }
      }
    }
  }
}
