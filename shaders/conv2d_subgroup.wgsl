// Convolution that shares its weights between the lanes of a subgroup, as matmul_subgroup does with a: one workgroup
// is LANES lanes, each lane keeps TILE_O channels × TILE_P positions of the result in registers; all lanes have the
// same channels and neighboring positions. Each weight is loaded by one lane and broadcast, with no barrier and no
// columns in memory. For software adapters, where a load is computed lane by lane and costs many times a multiply-add.
// The sums, positions, phases and uniforms are those of conv2d_register_tile, in both directions.
//
// Four channels of x are multiplied at a time, so that a sum goes back to its variable once for four products. What is
// past the last channel or the edge of x counts as zero, whatever is loaded there.
// The subgroup must have at least LANES lanes.
enable subgroups;

// @constants
const TILE_O: u32 = 16u;
const TILE_P: u32 = 4u;
const LANES: u32 = 4u;
const WHOLE: bool = true;
// Whether the activation is tanh or sigmoid: SwiftShader computes both sides of an if, for every value.
const CURVED: bool = false;
const BLOCKS_P: u32 = TILE_P / 4u;
const LOADS_W: u32 = (TILE_O + LANES - 1u) / LANES;
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
  has_bias: u32,
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

// One channel of x at four positions.
fn gather_x(at: vec4u, inside: vec4<bool>) -> vec4f {
  return select(vec4f(0.0), vec4f(x[at.x], x[at.y], x[at.z], x[at.w]), inside);
}

// The weights of four input channels.
fn gather_w(at: u32, there: vec4<bool>) -> vec4f {
  let step = params.w_input;
  return select(vec4f(0.0), vec4f(w[at], w[at + step], w[at + 2u * step], w[at + 3u * step]), there);
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  var rest = group.x + group.y * groups.x;
  let first_o = rest % params.tiles_o * TILE_O;
  rest /= params.tiles_o;
  let phase_x = rest % params.phases_x;
  rest /= params.phases_x;
  let phase_y = rest % params.phases_y;
  rest /= params.phases_y;
  let channel_group = rest % params.groups;
  let tile_p = rest / params.groups * LANES * TILE_P;
  if (phase_y >= params.rows || phase_x >= params.columns) { return; }
  let phase = Phase(
    phase_x,
    phase_y,
    (params.columns - phase_x + params.phases_x - 1u) / params.phases_x,
    (params.rows - phase_y + params.phases_y - 1u) / params.phases_y);
  let positions = params.images * phase.rows * phase.columns;
  if (tile_p >= positions) { return; }
  let first_p = tile_p + lane * TILE_P;

  let plane = params.height * params.width;
  // Where the positions, four a block, stand in x before any tap. Lanes past the last position repeat it, since all
  // lanes of a subgroup must take part in a broadcast; what they compute is not stored.
  // @scalars
  var at_y: array<vec4i, BLOCKS_P>;
  // @scalars
  var at_x: array<vec4i, BLOCKS_P>;
  // @scalars
  var origin: array<vec4u, BLOCKS_P>;
  let first_position = position_of(min(first_p, positions - 1u), phase);
  var position = first_position;
  // @unroll
  for (var b = 0u; b < BLOCKS_P; b++) {
    let second = after(position, phase);
    let third = after(second, phase);
    let fourth = after(third, phase);
    at_y[b] = vec4i(params.step_y * vec4u(position.y, second.y, third.y, fourth.y));
    at_x[b] = vec4i(params.step_x * vec4u(position.x, second.x, third.x, fourth.x));
    let images = vec4u(position.image, second.image, third.image, fourth.image);
    origin[b] = (images * params.groups + channel_group) * params.inputs * plane +
      vec4u(at_y[b]) * params.width + vec4u(at_x[b]);
    position = after(fourth, phase);
  }
  // The channels of the tile are dealt to the lanes in turn: this lane loads the weights of lane + LANES · l.
  // @scalars
  var w_at: array<u32, LOADS_W>;
  let weights_a_group = params.kernel_height * params.kernel_width * params.inputs * params.outputs;
  // @unroll
  for (var l = 0u; l < LOADS_W; l++) {
    w_at[l] = channel_group * weights_a_group + min(first_o + lane + LANES * l, params.outputs - 1u) * params.w_output;
  }

  let taps_y = taps_of(
    phase_y, params.phases_y, params.offset_y, params.kernel_height, params.dilation_y, params.skip_y);
  let taps_x = taps_of(
    phase_x, params.phases_x, params.offset_x, params.kernel_width, params.dilation_x, params.skip_x);
  // @scalars
  var sum: array<array<vec4f, BLOCKS_P>, TILE_O>;
  // @scalars
  var part: array<vec4f, LOADS_W>;
  // Of the four input channels, for each channel of the tile.
  // @scalars
  var weight: array<vec4f, TILE_O>;
  // One loop over taps and channels, not three: at the end of each the sums go back to their variables, which is dear.
  var c = 0u;
  var i = 0u;
  var j = 0u;
  let rounds = taps_y.count * taps_x.count * ((params.inputs + 3u) / 4u);
  for (var round = 0u; round < rounds; round++) {
    let tap_y = taps_y.start + i32(i) * params.tap_step_y;
    let tap_x = taps_x.start + i32(j) * params.tap_step_x;
    let tap_at = u32(tap_y * i32(params.width) + tap_x) + c * plane;
    let tap = (taps_y.first + i * params.skip_y) * params.kernel_width + taps_x.first + j * params.skip_x;
    let there = vec4<bool>(WHOLE) | (c + vec4u(0u, 1u, 2u, 3u) < vec4u(params.inputs));
    // @unroll
    for (var l = 0u; l < LOADS_W; l++) {
      part[l] = gather_w(w_at[l] + tap + c * params.w_input, there);
    }
    // @unroll
    for (var o = 0u; o < TILE_O; o++) {
      weight[o] = subgroupBroadcast(part[o / LANES], o % LANES);
    }
    // @unroll
    for (var b = 0u; b < BLOCKS_P; b++) {
      // As unsigned numbers, what lies before an edge is past the other one.
      let inside = (vec4u(at_y[b] + tap_y) < vec4u(params.height)) & (vec4u(at_x[b] + tap_x) < vec4u(params.width));
      let x_at = origin[b] + tap_at;
      let block = mat4x4f(
        gather_x(x_at, inside),
        gather_x(x_at + plane, inside & vec4<bool>(there.y)),
        gather_x(x_at + 2u * plane, inside & vec4<bool>(there.z)),
        gather_x(x_at + 3u * plane, inside & vec4<bool>(there.w)));
      // @unroll
      for (var o = 0u; o < TILE_O; o++) {
        sum[o][b] += block * weight[o];
      }
    }
    c += 4u;
    let is_next_tap = c >= params.inputs;
    c = select(c, 0u, is_next_tap);
    j += select(0u, 1u, is_next_tap);
    let is_next_row = j == taps_x.count;
    j = select(j, 0u, is_next_row);
    i += select(0u, 1u, is_next_row);
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
  if (first_p >= positions) { return; }
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
