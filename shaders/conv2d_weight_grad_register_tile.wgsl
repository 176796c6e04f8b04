// Weight gradient of a convolution, in parts: a sum over all images and positions is long, so it is cut into
// chunks, and conv2d_sum_parts adds them up. Each invocation keeps TILE_O output channels × TILE_K weights of
// one chunk in registers, no barrier.
//   parts[s, o, c, i, j] = Σ_(n, Y, X) in chunk s  dy[n, o, Y, X] · x[n, c, row, column]
//   row = Y · stride + i · dilation - padding, column alike
// x: [images, groups · inputs, height, width], zeros outside; dy: [images, groups · outputs, rows, columns];
// parts: [chunks, groups · outputs, inputs, kernel_height, kernel_width], where k = (c, i, j) is one flat
// index. A chunk is `chunk_segments` pieces of rows of dy, each of at most `segment` columns.

// @constants
const TILE_O: u32 = 8u;
const TILE_K: u32 = 8u;
const WORKGROUP_SIZE: u32 = 32u;
const UNROLL: bool = true;
const BLOCKS_K: u32 = TILE_K / 4u;
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
  segment: u32,
  segments_a_row: u32,
  chunk_segments: u32,
  chunks: u32,
  tiles_o: u32,
  tiles_k: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> parts: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let first_k = index % params.tiles_k * TILE_K;
  let first_o = index / params.tiles_k % params.tiles_o * TILE_O;
  let channel_group = index / (params.tiles_k * params.tiles_o) % params.groups;
  let chunk = index / (params.tiles_k * params.tiles_o * params.groups);
  if (chunk >= params.chunks) { return; }

  let taps = params.kernel_height * params.kernel_width;
  let weights = params.inputs * taps;
  let plane = params.height * params.width;
  let dy_plane = params.rows * params.columns;
  // For each weight of the tile: where its channel begins in an image of x, by how much its tap is shifted,
  // and for which columns of dy it stands inside of x. A tile that is cut off repeats the last weight and
  // channel: it computes and stores them several times, which costs less than a branch a store would.
  // @scalars
  var channel_at: array<u32, TILE_K>;
  // @scalars
  var shift_y: array<i32, TILE_K>;
  // @scalars
  var shift_x: array<i32, TILE_K>;
  // @scalars
  var first_inside: array<u32, TILE_K>;
  // @scalars
  var count_inside: array<u32, TILE_K>;
  let stride = i32(params.stride_x);
  // @unroll
  for (var k = 0u; k < TILE_K; k++) {
    let weight = min(first_k + k, weights - 1u);
    let tap = weight % taps;
    channel_at[k] = (channel_group * params.inputs + weight / taps) * plane;
    shift_y[k] = i32(tap / params.kernel_width * params.dilation_y) - i32(params.padding_y);
    shift_x[k] = i32(tap % params.kernel_width * params.dilation_x) - i32(params.padding_x);
    let first = (max(0, -shift_x[k]) + stride - 1) / stride;
    let end = (max(0, i32(params.width) - shift_x[k]) + stride - 1) / stride;
    first_inside[k] = u32(first);
    count_inside[k] = u32(max(0, end - first));
  }
  // @scalars
  var dy_channel_at: array<u32, TILE_O>;
  // @unroll
  for (var o = 0u; o < TILE_O; o++) {
    dy_channel_at[o] = (channel_group * params.outputs + min(first_o + o, params.outputs - 1u)) * dy_plane;
  }

  // @scalars
  var sum: array<array<vec4f, BLOCKS_K>, TILE_O>;
  // @scalars
  var values: array<vec4f, BLOCKS_K>;
  // @scalars
  var x_at: array<u32, TILE_K>;
  // @scalars
  var count: array<u32, TILE_K>;
  let end = min((chunk + 1u) * params.chunk_segments, params.images * params.rows * params.segments_a_row);
  for (var segment = chunk * params.chunk_segments; segment < end; segment++) {
    let first_column = segment % params.segments_a_row * params.segment;
    let end_column = min(first_column + params.segment, params.columns);
    let row = segment / params.segments_a_row % params.rows;
    let image = segment / (params.segments_a_row * params.rows);
    // @unroll
    for (var k = 0u; k < TILE_K; k++) {
      let x_row = i32(row * params.stride_y) + shift_y[k];
      count[k] = select(0u, count_inside[k], u32(x_row) < params.height);
      let row_at = u32(x_row) * params.width + u32(shift_x[k]);
      x_at[k] = image * params.groups * params.inputs * plane + channel_at[k] + row_at;
    }
    let dy_at = image * params.groups * params.outputs * dy_plane + row * params.columns;
    for (var column = first_column; column < end_column; column++) {
      let x_column = column * params.stride_x;
      // What is read off the rows of x is not used.
      // @unroll
      for (var b = 0u; b < BLOCKS_K; b++) {
        let inside_0 = column - first_inside[4u * b] < count[4u * b];
        let inside_1 = column - first_inside[4u * b + 1u] < count[4u * b + 1u];
        let inside_2 = column - first_inside[4u * b + 2u] < count[4u * b + 2u];
        let inside_3 = column - first_inside[4u * b + 3u] < count[4u * b + 3u];
        values[b] = vec4f(
          select(0.0, x[x_at[4u * b] + x_column], inside_0),
          select(0.0, x[x_at[4u * b + 1u] + x_column], inside_1),
          select(0.0, x[x_at[4u * b + 2u] + x_column], inside_2),
          select(0.0, x[x_at[4u * b + 3u] + x_column], inside_3));
      }
      // @unroll
      for (var o = 0u; o < TILE_O; o++) {
        let gradient = vec4f(dy[dy_at + column + dy_channel_at[o]]);
        // @unroll
        for (var b = 0u; b < BLOCKS_K; b++) {
          sum[o][b] = fma(gradient, values[b], sum[o][b]);
        }
      }
    }
  }

  let last = weights - 1u;
  // @unroll
  for (var o = 0u; o < TILE_O; o++) {
    let channel = min(first_o + o, params.outputs - 1u);
    let part_at = ((chunk * params.groups + channel_group) * params.outputs + channel) * weights;
    // @unroll
    for (var b = 0u; b < BLOCKS_K; b++) {
      let k = first_k + 4u * b;
      parts[part_at + min(k, last)] = sum[o][b].x;
      parts[part_at + min(k + 1u, last)] = sum[o][b].y;
      parts[part_at + min(k + 2u, last)] = sum[o][b].z;
      parts[part_at + min(k + 3u, last)] = sum[o][b].w;
    }
  }
}
