// Convolution seen from its result: each invocation keeps TILE_O channels × TILE_P positions of the result in
// registers and gathers what they need, no barrier. One kernel for both directions:
//   forward         y[n, o, Y, X] = activate(bias[o] + Σ_c Σ_i Σ_j w[o, c, i, j] · x[n, c, row, column])
//                   row = Y · stride + i · dilation - padding
//   input gradient  (and transposed convolution) the same with the x that the forward pass leads from Y to:
//                   row = (Y + padding - i · dilation) / stride, where that is whole
// (columns alike; outside of x there are zeros). x: [images, groups · inputs, height, width], y: [images,
// groups · outputs, rows, columns], bias: [groups · outputs]; w has inputs · outputs · kernel_height ·
// kernel_width values a group, w_input apart from one input channel to the next, w_output for output
// channels.
//
// In the second form only every stride-th tap meets a whole row, the same ones for all Y that leave the same
// rest: these are a phase. So a tile holds positions of one phase (Y = phase + phases · q), walks the taps
// first, first + skip, … of it, and no product with a missing row is ever made. The first form is one phase
// of all taps.

// @constants
const TILE_O: u32 = 8u;
const TILE_P: u32 = 8u;
const WORKGROUP_SIZE: u32 = 32u;
// Whether the activation is tanh or sigmoid: SwiftShader computes both sides of an if, for every value.
const CURVED: bool = false;
const UNROLL: bool = true;
const BLOCKS_P: u32 = TILE_P / 4u;
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
  // Along y and x: x is `step` rows further for the next q, and `tap_step` rows for the phase's next tap,
  // which is `skip` taps further in the kernel; `offset` is -padding forward and padding backward.
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
  has_bias: u32,
  // 0: a slope for negative sums, where 1 leaves them, 0 is ReLU and others are leaky ReLU; 3: tanh; 4:
  // sigmoid. Uniforms and no constants, so that all convolutions and input gradients with a tile size are one
  // pipeline.
  activation: u32,
  slope: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

// Positions of a phase, counted through its columns, rows and images.
struct Position {
  x: u32,
  y: u32,
  image: u32,
}

struct Phase {
  x: u32,
  y: u32,
  columns: u32,
  rows: u32,
}

fn position_of(index: u32, phase: Phase) -> Position {
  let row = index / phase.columns;
  return Position(index % phase.columns, row % phase.rows, row / phase.rows);
}

// The next position; past the last one the last one again.
fn after(position: Position, phase: Phase) -> Position {
  let next_row = position.x + 1u == phase.columns;
  let next_image = next_row && position.y + 1u == phase.rows;
  let last = next_image && position.image + 1u == params.images;
  return Position(
    select(select(position.x + 1u, 0u, next_row), position.x, last),
    select(select(position.y + u32(next_row), 0u, next_image), position.y, last),
    position.image + u32(next_image && !last));
}

struct Taps {
  first: u32,
  count: u32,
  // Where the first tap stands in x for q = 0.
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
  if (CURVED) {
    if (params.activation == 3u) { return hyperbolic_tangent(v); }
    return 1.0 / (1.0 + exp(-max(v, -80.0)));
  }
  // Not 0 · v where the slope is 0: that is NaN for -infinity.
  let negative = select(params.slope * v, 0.0, params.slope == 0.0);
  return select(v, negative, v < 0.0);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  // All invocations of a workgroup have the same channels and the same phase: they read the same weights.
  var rest = group.x + group.y * groups.x;
  let first_o = rest % params.tiles_o * TILE_O;
  rest /= params.tiles_o;
  let phase_x = rest % params.phases_x;
  rest /= params.phases_x;
  let phase_y = rest % params.phases_y;
  rest /= params.phases_y;
  let channel_group = rest % params.groups;
  let first_p = (rest / params.groups * WORKGROUP_SIZE + local.x) * TILE_P;
  if (phase_y >= params.rows || phase_x >= params.columns) { return; }
  let phase = Phase(
    phase_x,
    phase_y,
    (params.columns - phase_x + params.phases_x - 1u) / params.phases_x,
    (params.rows - phase_y + params.phases_y - 1u) / params.phases_y);
  let positions = params.images * phase.rows * phase.columns;
  if (first_p >= positions) { return; }

  let plane = params.height * params.width;
  // Where each position of the tile stands in x before any tap: its row and column, and its image. A tile
  // that is cut off repeats its last position and channel.
  // @scalars
  var at_y: array<i32, TILE_P>;
  // @scalars
  var at_x: array<i32, TILE_P>;
  // @scalars
  var image_at: array<u32, TILE_P>;
  let first_position = position_of(first_p, phase);
  var position = first_position;
  // @unroll
  for (var p = 0u; p < TILE_P; p++) {
    at_y[p] = i32(position.y * params.step_y);
    at_x[p] = i32(position.x * params.step_x);
    image_at[p] = (position.image * params.groups + channel_group) * params.inputs * plane;
    position = after(position, phase);
  }
  // @scalars
  var w_at: array<u32, TILE_O>;
  let taps_a_group = params.kernel_height * params.kernel_width * params.inputs * params.outputs;
  // @unroll
  for (var o = 0u; o < TILE_O; o++) {
    w_at[o] = channel_group * taps_a_group + min(first_o + o, params.outputs - 1u) * params.w_output;
  }

  let taps_y = taps_of(
    phase_y, params.phases_y, params.offset_y, params.kernel_height, params.dilation_y, params.skip_y);
  let taps_x = taps_of(
    phase_x, params.phases_x, params.offset_x, params.kernel_width, params.dilation_x, params.skip_x);
  // @scalars
  var sum: array<array<vec4f, BLOCKS_P>, TILE_O>;
  // @scalars
  var values: array<vec4f, BLOCKS_P>;
  // @scalars
  var x_at: array<u32, TILE_P>;
  // @scalars
  var inside: array<bool, TILE_P>;
  for (var i = 0u; i < taps_y.count; i++) {
    for (var j = 0u; j < taps_x.count; j++) {
      let y_shift = taps_y.start + i32(i) * params.tap_step_y;
      let x_shift = taps_x.start + i32(j) * params.tap_step_x;
      // @unroll
      for (var p = 0u; p < TILE_P; p++) {
        let row = at_y[p] + y_shift;
        let column = at_x[p] + x_shift;
        inside[p] = u32(row) < params.height && u32(column) < params.width;
        x_at[p] = select(0u, image_at[p] + u32(row) * params.width + u32(column), inside[p]);
      }
      var tap = (taps_y.first + i * params.skip_y) * params.kernel_width + taps_x.first + j * params.skip_x;
      for (var c = 0u; c < params.inputs; c++) {
        // @unroll
        for (var b = 0u; b < BLOCKS_P; b++) {
          values[b] = vec4f(
            select(0.0, x[x_at[4u * b]], inside[4u * b]),
            select(0.0, x[x_at[4u * b + 1u]], inside[4u * b + 1u]),
            select(0.0, x[x_at[4u * b + 2u]], inside[4u * b + 2u]),
            select(0.0, x[x_at[4u * b + 3u]], inside[4u * b + 3u]));
        }
        // @unroll
        for (var p = 0u; p < TILE_P; p++) {
          x_at[p] += plane;
        }
        // @unroll
        for (var o = 0u; o < TILE_O; o++) {
          let weight = vec4f(w[w_at[o] + tap]);
          // @unroll
          for (var b = 0u; b < BLOCKS_P; b++) {
            sum[o][b] = fma(weight, values[b], sum[o][b]);
          }
        }
        tap += params.w_input;
      }
    }
  }

  // A loop over the stores, which are long texts: unrolled they would take most of the compile time.
  var result: array<array<vec4f, BLOCKS_P>, TILE_O>;
  // @unroll
  for (var o = 0u; o < TILE_O; o++) {
    // @unroll
    for (var b = 0u; b < BLOCKS_P; b++) {
      result[o][b] = sum[o][b];
    }
  }
  let y_plane = params.rows * params.columns;
  position = first_position;
  let channels = min(TILE_O, params.outputs - first_o);
  for (var p = 0u; p < min(TILE_P, positions - first_p); p++) {
    let row = phase.y + position.y * params.phases_y;
    let column = phase.x + position.x * params.phases_x;
    let first_channel = channel_group * params.outputs + first_o;
    let first_plane = position.image * params.groups * params.outputs + first_channel;
    let at = (first_plane * params.rows + row) * params.columns + column;
    for (var o = 0u; o < channels; o++) {
      var v = result[o][p / 4u][p % 4u];
      if (params.has_bias != 0u) { v += bias[first_channel + o]; }
      y[at + o * y_plane] = activate(v);
    }
    position = after(position, phase);
  }
}
