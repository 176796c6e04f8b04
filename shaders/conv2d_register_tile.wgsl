// Convolution seen from its result: each invocation keeps TILE_O channels × TILE_P positions of the result in
// registers and gathers what they need, no barrier. One kernel for both directions:
//   forward         y[n, o, Y, X] = activate(bias[o] + Σ_c Σ_i Σ_j w[o, c, i, j] · x[n, c, row, column])
//                   row = Y · stride + i · dilation - padding
//   input gradient  (and transposed convolution) the same with the x that the forward pass would lead from Y to:
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

fn bend(v: vec4f) -> vec4f {
  // Not 0 · v where the slope is 0: that is NaN for -infinity.
  let negative = select(params.slope * v, vec4f(0.0), params.slope == 0.0);
  return select(negative, v, v > vec4f(0.0));
}

// Positions count through the columns, rows and images of a phase.
struct Position {
  x: u32,
  y: u32,
  image: u32,
}

fn position_of(index: u32, columns: u32, rows: u32) -> Position {
  return Position(index % columns, index / columns % rows, index / (columns * rows));
}

fn after(position: Position, columns: u32, rows: u32) -> Position {
  let next_row = position.x + 1u == columns;
  let next_image = next_row && position.y + 1u == rows;
  return Position(
    select(position.x + 1u, 0u, next_row),
    select(position.y + u32(next_row), 0u, next_image),
    position.image + u32(next_image));
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
  let phase_rows = (params.rows + params.phases_y - 1u) / params.phases_y;
  let phase_columns = (params.columns + params.phases_x - 1u) / params.phases_x;
  if (first_p >= params.images * phase_rows * phase_columns) { return; }

  let plane = params.height * params.width;
  // Where each position of the tile stands in x before any tap: its row and column, and its image.
  // @scalars
  var at_y: array<i32, TILE_P>;
  // @scalars
  var at_x: array<i32, TILE_P>;
  // @scalars
  var image_at: array<u32, TILE_P>;
  var position = position_of(first_p, phase_columns, phase_rows);
  // @unroll
  for (var p = 0u; p < TILE_P; p++) {
    // Positions past the last image get a row that no tap leads into x.
    at_y[p] = select(-0x40000000, i32(position.y * params.step_y), position.image < params.images);
    at_x[p] = i32(position.x * params.step_x);
    image_at[p] = (position.image * params.groups + channel_group) * params.inputs * plane;
    position = after(position, phase_columns, phase_rows);
  }
  // Past the last channel the last one repeats.
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

  // @scalars
  var y_at: array<u32, TILE_P>;
  // @scalars
  var stored: array<bool, TILE_P>;
  let y_plane = params.rows * params.columns;
  position = position_of(first_p, phase_columns, phase_rows);
  // @unroll
  for (var p = 0u; p < TILE_P; p++) {
    let row = phase_y + position.y * params.phases_y;
    let column = phase_x + position.x * params.phases_x;
    stored[p] = position.image < params.images && row < params.rows && column < params.columns;
    let image_plane = (position.image * params.groups + channel_group) * params.outputs;
    y_at[p] = (image_plane + first_o) * y_plane + row * params.columns + column;
    position = after(position, phase_columns, phase_rows);
  }
  // @unroll
  for (var o = 0u; o < TILE_O; o++) {
    if (first_o + o < params.outputs) {
      let channel_at = o * y_plane;
      var offset = 0.0;
      if (params.has_bias != 0u) { offset = bias[channel_group * params.outputs + first_o + o]; }
      // @unroll
      for (var b = 0u; b < BLOCKS_P; b++) {
        let v = bend(sum[o][b] + offset);
        if (stored[4u * b]) { y[y_at[4u * b] + channel_at] = v.x; }
        if (stored[4u * b + 1u]) { y[y_at[4u * b + 1u] + channel_at] = v.y; }
        if (stored[4u * b + 2u]) { y[y_at[4u * b + 2u] + channel_at] = v.z; }
        if (stored[4u * b + 3u]) { y[y_at[4u * b + 3u] + channel_at] = v.w; }
      }
    }
  }

  // Long text, so not in every one of the stores above, but a loop over what they stored.
  if (params.activation == 0u) { return; }
  position = position_of(first_p, phase_columns, phase_rows);
  for (var p = 0u; p < TILE_P; p++) {
    let row = phase_y + position.y * params.phases_y;
    let column = phase_x + position.x * params.phases_x;
    if (position.image < params.images && row < params.rows && column < params.columns) {
      let image_plane = (position.image * params.groups + channel_group) * params.outputs;
      for (var o = first_o; o < min(first_o + TILE_O, params.outputs); o++) {
        let at = (image_plane + o) * y_plane + row * params.columns + column;
        let v = y[at];
        let sigmoid = 1.0 / (1.0 + exp(-max(v, -80.0)));
        y[at] = select(sigmoid, tanh(clamp(v, -15.0, 15.0)), params.activation == 3u);
      }
    }
    position = after(position, phase_columns, phase_rows);
  }
}
