// Convolution for subgroups of 4 lanes (quads), as matmul_quad computes a product: one workgroup is a quad, which computes
// TILE_P positions × 4 TILE_O channels of the result in registers. Lane l loads ROWS = TILE_P / 4 positions of x and the
// weights of TILE_O channels, its own ones; a swap of the weights within the quad, a single shuffle, brings each lane the
// channels of another one, so that after four turns every position has met every channel. No value is loaded twice in
// a quad, there are no columns in memory and no barriers. For software adapters, where a load is computed lane by lane
// and costs many times a multiply-add. The sums, positions, phases and uniforms are those of conv2d_register_tile, in
// both directions.
//
// Four channels of x are multiplied at a time, so that a sum goes back to its variable once for four products. What is
// past the edge of x, or past its last channel (where WHOLE says that four do not divide them), counts as zero,
// whatever is loaded there.
// TILE_P must be a multiple of 16, TILE_O of 4.
enable subgroups;

// @constants
const TILE_P: u32 = 64u;
const TILE_O: u32 = 4u;
const WHOLE: bool = true;
// Whether the activation is tanh or sigmoid: SwiftShader computes both sides of an if, for every value.
const CURVED: bool = false;
const ROWS: u32 = TILE_P / 4u;
const BLOCKS_P: u32 = ROWS / 4u;
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

// One channel of x at four positions.
fn gather_x(at: vec4u, inside: vec4<bool>) -> vec4f {
  return select(vec4f(0.0), vec4f(x[at.x], x[at.y], x[at.z], x[at.w]), inside);
}

// The weights of one input channel for four channels of the result.
fn gather_w(at: vec4u, there: bool) -> vec4f {
  return select(vec4f(0.0), vec4f(w[at.x], w[at.y], w[at.z], w[at.w]), there);
}

// The values of the lane whose number differs in the bits of `turn`.
fn swap(v: vec4f, turn: u32) -> vec4f {
  if (turn == 1u) { return quadSwapX(v); }
  if (turn == 2u) { return quadSwapY(v); }
  if (turn == 3u) { return quadSwapDiagonal(v); }
  return v;
}

@compute @workgroup_size(4)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  var rest = group.x + group.y * groups.x;
  let first_o = rest % params.tiles_o * 4u * TILE_O;
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
  let first_p = tile_p + lane * ROWS;

  let plane = params.height * params.width;
  // Where the positions, four a block, stand in x before any tap. Lanes past the last position repeat it, since all
  // lanes of a quad must take part in a swap; what they compute is not stored.
  // @scalars
  var at_y: array<vec4i, BLOCKS_P>;
  // @scalars
  var at_x: array<vec4i, BLOCKS_P>;
  // @scalars
  var origin: array<vec4u, BLOCKS_P>;
  // Where their results go, for the first channel.
  var y_at: array<vec4u, BLOCKS_P>;
  let y_plane = params.rows * params.columns;
  // @unroll
  for (var b = 0u; b < BLOCKS_P; b++) {
    let index = min(first_p + 4u * b + vec4u(0u, 1u, 2u, 3u), vec4u(positions - 1u));
    let line = index / phase.columns;
    let column = index - line * phase.columns;
    let image = line / phase.rows;
    let row = line - image * phase.rows;
    at_y[b] = vec4i(params.step_y * row);
    at_x[b] = vec4i(params.step_x * column);
    let planes = image * params.groups + channel_group;
    origin[b] = planes * params.inputs * plane + params.step_y * row * params.width + params.step_x * column;
    y_at[b] = planes * params.outputs * y_plane + (phase.y + row * params.phases_y) * params.columns +
      phase.x + column * params.phases_x;
  }
  let own_o = first_o + lane * TILE_O;
  let weights_a_group = params.kernel_height * params.kernel_width * params.inputs * params.outputs;
  // Of four channels of the result.
  // @scalars
  var w_at: array<vec4u, BLOCKS_O>;
  // @unroll
  for (var o = 0u; o < BLOCKS_O; o++) {
    let channels = min(own_o + 4u * o + vec4u(0u, 1u, 2u, 3u), vec4u(params.outputs - 1u));
    w_at[o] = channel_group * weights_a_group + channels * params.w_output;
  }

  let taps_y = taps_of(
    phase_y, params.phases_y, params.offset_y, params.kernel_height, params.dilation_y, params.skip_y);
  let taps_x = taps_of(
    phase_x, params.phases_x, params.offset_x, params.kernel_width, params.dilation_x, params.skip_x);
  // sum[t][p][o] is the lane's position p, and block o of the channels of the lane that turn t swaps with.
  // @scalars
  var sum: array<array<array<vec4f, BLOCKS_O>, ROWS>, 4>;
  // Of each position, four channels.
  // @scalars
  var x_row: array<vec4f, ROWS>;
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
    for (var b = 0u; b < BLOCKS_P; b++) {
      // As unsigned numbers, what lies before an edge is past the other one.
      let inside = (vec4u(at_y[b] + tap_y) < vec4u(params.height)) & (vec4u(at_x[b] + tap_x) < vec4u(params.width));
      let x_at = origin[b] + tap_at;
      let four = transpose(mat4x4f(
        gather_x(x_at, inside),
        gather_x(x_at + plane, inside & vec4<bool>(there.y)),
        gather_x(x_at + 2u * plane, inside & vec4<bool>(there.z)),
        gather_x(x_at + 3u * plane, inside & vec4<bool>(there.w))));
      x_row[4u * b] = four[0];
      x_row[4u * b + 1u] = four[1];
      x_row[4u * b + 2u] = four[2];
      x_row[4u * b + 3u] = four[3];
    }
    // @unroll
    for (var o = 0u; o < BLOCKS_O; o++) {
      let at = w_at[o] + tap + c * params.w_input;
      let block = mat4x4f(
        gather_w(at, true),
        gather_w(at + params.w_input, there.y),
        gather_w(at + 2u * params.w_input, there.z),
        gather_w(at + 3u * params.w_input, there.w));
      // @unroll
      for (var t = 0u; t < 4u; t++) {
        let turned = mat4x4f(swap(block[0], t), swap(block[1], t), swap(block[2], t), swap(block[3], t));
        // @unroll
        for (var p = 0u; p < ROWS; p++) {
          sum[t][p][o] += turned * x_row[p];
        }
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
  var result: array<array<array<vec4f, BLOCKS_O>, ROWS>, 4>;
  // @unroll
  for (var t = 0u; t < 4u; t++) {
    // @unroll
    for (var p = 0u; p < ROWS; p++) {
      // @unroll
      for (var o = 0u; o < BLOCKS_O; o++) {
        result[t][p][o] = sum[t][p][o];
      }
    }
  }
  let count = min(ROWS, positions - min(first_p, positions));
  for (var t = 0u; t < 4u; t++) {
    for (var o = 0u; o < BLOCKS_O; o++) {
      let channel = first_o + (lane ^ t) * TILE_O + 4u * o;
      if (channel >= params.outputs) { break; }
      var offset = vec4f(0.0);
      if (params.has_bias != 0u) {
        let at = channel_group * params.outputs + min(channel + vec4u(0u, 1u, 2u, 3u), vec4u(params.outputs - 1u));
        offset = vec4f(bias[at.x], bias[at.y], bias[at.z], bias[at.w]);
      }
      let channels = min(4u, params.outputs - channel);
      for (var p = 0u; p < count; p++) {
        let v = activate(result[t][p][o] + offset);
        let at = y_at[p / 4u][p % 4u] + channel * y_plane;
        // @unroll
        for (var e = 0u; e < 4u; e++) {
          if (e < channels) { y[at + e * y_plane] = v[e]; }
        }
      }
    }
  }
}
