// Convolution whose positions the lanes of a subgroup share, as matmul_subgroup shares the rows of a: one workgroup is LANES
// lanes, each lane keeps TILE_P positions × TILE_O channels of the result in registers; all lanes have the same positions
// and neighboring channels. Each position of x is loaded by one lane and broadcast, the weights are each lane's own, with
// no columns in memory and no barriers. The counterpart of conv2d_subgroup for results with channels enough for all lanes.
// The sums, positions, phases and uniforms are those of conv2d_register_tile, in both directions.
//
// Four channels of x are multiplied at a time, so that a sum goes back to its variable once for four products. What is
// past the edge of x, or past its last channel (where WHOLE says that four do not divide them), counts as zero,
// whatever is loaded there.
// The subgroup must have at least LANES lanes; LANES must divide TILE_P, 4 must divide TILE_O.
enable subgroups;

// @constants
const TILE_P: u32 = 16u;
const TILE_O: u32 = 4u;
const LANES: u32 = 8u;
const WHOLE: bool = true;
// Whether the activation is tanh or sigmoid: SwiftShader computes both sides of an if, for every value.
const CURVED: bool = false;
const LOADS: u32 = TILE_P / LANES;
const BLOCKS_O: u32 = TILE_O / 4u;
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
  blocks_o: u32,
  has_bias: u32,
  activation: u32,
  slope: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

struct Phase {
  x: u32,
  y: u32,
  columns: u32,
  rows: u32,
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

// Four channels of x at one position.
fn gather_x(at: u32, plane: u32, there: vec4<bool>) -> vec4f {
  return select(vec4f(0.0), vec4f(x[at], x[at + plane], x[at + 2u * plane], x[at + 3u * plane]), there);
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  var rest = group.x + group.y * groups.x;
  let first_o = rest % params.tiles_o * LANES * TILE_O;
  rest /= params.tiles_o;
  let phase_x = rest % params.phases_x;
  rest /= params.phases_x;
  let phase_y = rest % params.phases_y;
  rest /= params.phases_y;
  let channel_group = rest % params.groups;
  let tile_p = rest / params.groups * TILE_P;
  if (phase_y >= params.rows || phase_x >= params.columns) { return; }
  let phase = Phase(
    phase_x,
    phase_y,
    (params.columns - phase_x + params.phases_x - 1u) / params.phases_x,
    (params.rows - phase_y + params.phases_y - 1u) / params.phases_y);
  let positions = params.images * phase.rows * phase.columns;
  if (tile_p >= positions) { return; }

  let plane = params.height * params.width;
  let y_plane = params.rows * params.columns;
  // Where the positions stand in x before any tap; they are dealt to the lanes in turn: this lane loads that of
  // number lane + LANES · l. What is past the last position repeats it and is not stored.
  // @scalars
  var at_y: array<i32, LOADS>;
  // @scalars
  var at_x: array<i32, LOADS>;
  // @scalars
  var origin: array<u32, LOADS>;
  // @unroll
  for (var l = 0u; l < LOADS; l++) {
    let index = min(tile_p + lane + LANES * l, positions - 1u);
    let line = index / phase.columns;
    let column = index - line * phase.columns;
    let image = line / phase.rows;
    let row = line - image * phase.rows;
    at_y[l] = i32(params.step_y * row);
    at_x[l] = i32(params.step_x * column);
    origin[l] = (image * params.groups + channel_group) * params.inputs * plane + params.step_y * row * params.width +
      params.step_x * column;
  }
  let own_o = first_o + lane * TILE_O;
  // In vec4: the weights of a tap are [4 · steps, blocks_o], and this is where the lane's own ones of its group stand.
  let steps = (params.inputs + 3u) / 4u;
  let weights_a_tap = 4u * steps * params.blocks_o;
  // @scalars
  var w_at: array<u32, BLOCKS_O>;
  // @unroll
  for (var o = 0u; o < BLOCKS_O; o++) {
    w_at[o] = channel_group * params.kernel_height * params.kernel_width * weights_a_tap +
      min(own_o / 4u + o, params.blocks_o - 1u);
  }

  let taps_y = taps_of(
    phase_y, params.phases_y, params.offset_y, params.kernel_height, params.dilation_y, params.skip_y);
  let taps_x = taps_of(
    phase_x, params.phases_x, params.offset_x, params.kernel_width, params.dilation_x, params.skip_x);
  // @scalars
  var sum: array<array<vec4f, BLOCKS_O>, TILE_P>;
  // @scalars
  var part: array<vec4f, LOADS>;
  // Of each position, four channels.
  // @scalars
  var x_row: array<vec4f, TILE_P>;
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
    for (var l = 0u; l < LOADS; l++) {
      // As unsigned numbers, what lies before an edge is past the other one.
      let inside = u32(at_y[l] + tap_y) < params.height && u32(at_x[l] + tap_x) < params.width;
      part[l] = gather_x(origin[l] + tap_at, plane, there & vec4<bool>(inside));
    }
    // @unroll
    for (var p = 0u; p < TILE_P; p++) {
      x_row[p] = subgroupBroadcast(part[p / LANES], p % LANES);
    }
    // @unroll
    for (var o = 0u; o < BLOCKS_O; o++) {
      let at = w_at[o] + tap * weights_a_tap + c * params.blocks_o;
      let block = mat4x4f(
        w[at], w[at + params.blocks_o], w[at + 2u * params.blocks_o], w[at + 3u * params.blocks_o]);
      // @unroll
      for (var p = 0u; p < TILE_P; p++) {
        sum[p][o] += block * x_row[p];
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
  var result: array<array<vec4f, BLOCKS_O>, TILE_P>;
  // @unroll
  for (var p = 0u; p < TILE_P; p++) {
    // @unroll
    for (var o = 0u; o < BLOCKS_O; o++) {
      result[p][o] = sum[p][o];
    }
  }
  for (var p = 0u; p < min(TILE_P, positions - tile_p); p++) {
    let line = (tile_p + p) / phase.columns;
    let column = phase.x + (tile_p + p) % phase.columns * params.phases_x;
    let row = phase.y + line % phase.rows * params.phases_y;
    let first_plane = (line / phase.rows * params.groups + channel_group) * params.outputs;
    let y_at = first_plane * y_plane + row * params.columns + column;
    for (var o = 0u; o < BLOCKS_O; o++) {
      let channel = own_o + 4u * o;
      if (channel >= params.outputs) { break; }
      let channels = min(4u, params.outputs - channel);
      var v = result[p][o];
      if (params.has_bias != 0u) {
        let at = channel_group * params.outputs + min(channel + vec4u(0u, 1u, 2u, 3u), vec4u(params.outputs - 1u));
        v += vec4f(bias[at.x], bias[at.y], bias[at.z], bias[at.w]);
      }
      v = activate(v);
      // @unroll
      for (var e = 0u; e < 4u; e++) {
        if (e < channels) { y[y_at + (channel + e) * y_plane] = v[e]; }
      }
    }
  }
}
