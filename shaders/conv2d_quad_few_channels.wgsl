// Convolution with few channels of x for subgroups of 4 lanes, the first layer of most networks: as conv2d_quad, but what is
// multiplied at a time is four of the (channel, tap) pairs in the weights' order, since four channels are not there.
//   y[n][o][Y][X] = activate(Σ_(c, i, j) x[n][c][Y · stride + i · dilation - padding][X · stride + …] · w[o][c][i][j] + bias[o])
// x: [images, groups · inputs, height, width]; w: [groups · outputs, inputs, kernel_height, kernel_width]; bias: [groups ·
// outputs]; y: [images, groups · outputs, rows, columns]. One workgroup is a quad, which computes TILE_P positions × 4 TILE_O
// channels in registers: a lane loads ROWS = TILE_P / 4 positions of x and the weights of TILE_O channels, and the weights
// are swapped within the quad. What is past the edge of x or past the last pair counts as zero, whatever is loaded there.
// TILE_P must be a multiple of 16, TILE_O of 4.
enable subgroups;

// @constants
const TILE_P: u32 = 64u;
const TILE_O: u32 = 4u;
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

// A weight of four channels of the result.
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
  let channel_group = rest % params.groups;
  let tile_p = rest / params.groups * TILE_P;
  let positions = params.images * params.rows * params.columns;
  if (tile_p >= positions) { return; }
  let first_p = tile_p + lane * ROWS;

  let plane = params.height * params.width;
  let y_plane = params.rows * params.columns;
  // Where the positions' windows begin, four a block, as unsigned numbers: what lies before an edge is past the other
  // one. Lanes past the last position repeat it, since all lanes of a quad must take part in a swap.
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
  let own_o = first_o + lane * TILE_O;
  let taps = params.kernel_height * params.kernel_width;
  let pairs = params.inputs * taps;
  // Of four channels of the result.
  // @scalars
  var w_at: array<vec4u, BLOCKS_O>;
  // @unroll
  for (var o = 0u; o < BLOCKS_O; o++) {
    let channels = min(own_o + 4u * o + vec4u(0u, 1u, 2u, 3u), vec4u(params.outputs - 1u));
    w_at[o] = (channel_group * params.outputs + channels) * pairs;
  }

  // sum[t][p][o] is the lane's position p, and block o of the channels of the lane that turn t swaps with.
  // @scalars
  var sum: array<array<array<vec4f, BLOCKS_O>, ROWS>, 4>;
  // Of each block of positions, one pair after the other.
  // @scalars
  var values: array<array<vec4f, 4>, BLOCKS_P>;
  // Of each position, four pairs.
  // @scalars
  var x_row: array<vec4f, ROWS>;
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
    // @unroll
    for (var b = 0u; b < BLOCKS_P; b++) {
      let four = transpose(mat4x4f(values[b][0], values[b][1], values[b][2], values[b][3]));
      x_row[4u * b] = four[0];
      x_row[4u * b + 1u] = four[1];
      x_row[4u * b + 2u] = four[2];
      x_row[4u * b + 3u] = four[3];
    }
    // @unroll
    for (var o = 0u; o < BLOCKS_O; o++) {
      let at = w_at[o] + pair;
      let block = mat4x4f(
        gather_w(at, true),
        gather_w(at + 1u, pair + 1u < pairs),
        gather_w(at + 2u, pair + 2u < pairs),
        gather_w(at + 3u, pair + 3u < pairs));
      // @unroll
      for (var t = 0u; t < 4u; t++) {
        let turned = mat4x4f(swap(block[0], t), swap(block[1], t), swap(block[2], t), swap(block[3], t));
        // @unroll
        for (var p = 0u; p < ROWS; p++) {
          sum[t][p][o] += turned * x_row[p];
        }
      }
    }
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
