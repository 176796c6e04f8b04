// Convolution with few channels of x for subgroups, the first layer of most networks: as conv2d_subgroup, but what is
// multiplied at a time is four of the (channel, tap) pairs in the weights' order, since four channels are not there.
//   y[n][o][Y][X] = activate(Σ_(c, i, j) x[n][c][Y · stride + i · dilation - padding][X · stride + …] · w[o][c][i][j] + bias[o])
// x: [images, groups · inputs, height, width]; w: [groups · outputs, inputs, kernel_height, kernel_width]; bias: [groups ·
// outputs]; y: [images, groups · outputs, rows, columns]. One workgroup is LANES lanes; each keeps TILE_O channels × TILE_P
// positions of the result in registers. All lanes have the same channels, whose weights each lane loads a part of and
// broadcasts, and neighboring positions. What is past the edge of x or past the last pair counts as zero, whatever is
// loaded there. The subgroup must have at least LANES lanes; TILE_P must be a multiple of 4.
enable subgroups;

// @constants
const TILE_P: u32 = 4u;
const TILE_O: u32 = 16u;
const LANES: u32 = 8u;
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
  stride_y: u32,
  stride_x: u32,
  dilation_y: u32,
  dilation_x: u32,
  padding_y: u32,
  padding_x: u32,
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

// x at four positions.
fn gather_x(at: vec4u, inside: vec4<bool>) -> vec4f {
  return select(vec4f(0.0), vec4f(x[at.x], x[at.y], x[at.z], x[at.w]), inside);
}

// The weights of four pairs.
fn gather_w(at: u32, there: vec4<bool>) -> vec4f {
  return select(vec4f(0.0), vec4f(w[at], w[at + 1u], w[at + 2u], w[at + 3u]), there);
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
  let channel_group = rest % params.groups;
  let tile_p = rest / params.groups * LANES * TILE_P;
  let positions = params.images * params.rows * params.columns;
  if (tile_p >= positions) { return; }
  let first_p = tile_p + lane * TILE_P;

  let plane = params.height * params.width;
  let y_plane = params.rows * params.columns;
  // Where the positions' windows begin, four a block, as unsigned numbers: what lies before an edge is past the other
  // one. Lanes past the last position repeat it, since all lanes of a subgroup must take part in a broadcast.
  // @scalars
  var at_y: array<vec4u, BLOCKS_P>;
  // @scalars
  var at_x: array<vec4u, BLOCKS_P>;
  // @scalars
  var origin: array<vec4u, BLOCKS_P>;
  // Where their results go, for the first channel.
  var y_at: array<vec4u, BLOCKS_P>;
  // @unroll
  for (var b = 0u; b < BLOCKS_P; b++) {
    let index = min(first_p + 4u * b + vec4u(0u, 1u, 2u, 3u), vec4u(positions - 1u));
    let line = index / params.columns;
    let column = index - line * params.columns;
    let image = line / params.rows;
    let row = line - image * params.rows;
    let planes = image * params.groups + channel_group;
    at_y[b] = row * params.stride_y - params.padding_y;
    at_x[b] = column * params.stride_x - params.padding_x;
    origin[b] = planes * params.inputs * plane + at_y[b] * params.width + at_x[b];
    y_at[b] = planes * params.outputs * y_plane + row * params.columns + column;
  }
  let taps = params.kernel_height * params.kernel_width;
  let pairs = params.inputs * taps;
  // The channels of the tile are dealt to the lanes in turn: this lane loads the weights of lane + LANES · l.
  // @scalars
  var w_at: array<u32, LOADS_W>;
  // @unroll
  for (var l = 0u; l < LOADS_W; l++) {
    w_at[l] = (channel_group * params.outputs + min(first_o + lane + LANES * l, params.outputs - 1u)) * pairs;
  }

  // @scalars
  var sum: array<array<vec4f, BLOCKS_P>, TILE_O>;
  // Of each block of positions, one pair after the other.
  // @scalars
  var values: array<array<vec4f, 4>, BLOCKS_P>;
  // @scalars
  var part: array<vec4f, LOADS_W>;
  var channel_at = 0u;
  var i = 0u;
  var j = 0u;
  for (var pair = 0u; pair < pairs; pair += 4u) {
    // @unroll
    for (var u = 0u; u < 4u; u++) {
      let tap_y = i * params.dilation_y;
      let tap_x = j * params.dilation_x;
      let tap_at = channel_at + tap_y * params.width + tap_x;
      // @unroll
      for (var b = 0u; b < BLOCKS_P; b++) {
        let inside = (at_y[b] + tap_y < vec4u(params.height)) & (at_x[b] + tap_x < vec4u(params.width));
        values[b][u] = gather_x(origin[b] + tap_at, inside & vec4<bool>(pair + u < pairs));
      }
      j++;
      let is_next_row = j == params.kernel_width;
      j = select(j, 0u, is_next_row);
      i += select(0u, 1u, is_next_row);
      let is_next_channel = i == params.kernel_height;
      i = select(i, 0u, is_next_channel);
      channel_at += select(0u, plane, is_next_channel);
    }
    let there = pair + vec4u(0u, 1u, 2u, 3u) < vec4u(pairs);
    // @unroll
    for (var l = 0u; l < LOADS_W; l++) {
      part[l] = gather_w(w_at[l] + pair, there);
    }
    // @unroll
    for (var o = 0u; o < TILE_O; o++) {
      let weight = subgroupBroadcast(part[o / LANES], o % LANES);
      // @unroll
      for (var b = 0u; b < BLOCKS_P; b++) {
        sum[o][b] += mat4x4f(values[b][0], values[b][1], values[b][2], values[b][3]) * weight;
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
  let count = min(TILE_P, positions - min(first_p, positions));
  for (var o = 0u; o < min(TILE_O, params.outputs - first_o); o++) {
    let channel = first_o + o;
    var offset = 0.0;
    if (params.has_bias != 0u) { offset = bias[channel_group * params.outputs + channel]; }
    for (var b = 0u; b < BLOCKS_P; b++) {
      let v = activate(result[o][b] + vec4f(offset));
      let at = y_at[b] + channel * y_plane;
      // @unroll
      for (var e = 0u; e < 4u; e++) {
        if (4u * b + e < count) { y[at[e]] = v[e]; }
      }
    }
  }
}
