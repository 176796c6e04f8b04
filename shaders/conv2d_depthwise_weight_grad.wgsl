// Weight gradient of a depthwise convolution with a small kernel whose size is known when the kernel is compiled,
// in parts that conv2d_sum_parts adds up. Each invocation walks some strips of dy for one channel, 4 columns wide and
// up to `strip_rows` long, with the rows of x under the kernel in registers as conv2d_depthwise_strip has them, and
// keeps a sum for every tap and column.
//   parts[s, o, i, j] = Σ_(n, Y, X) in chunk s  dy[n, o, Y, X] · x[n, c, row, column]
//   c = o / multiplier, row = Y · stride + i - padding, column alike
// x: [images, channels / multiplier, height, width], zeros outside; dy: [images, channels, rows, columns]; parts:
// [chunks, channels, KERNEL_Y, KERNEL_X]. A chunk is `chunk_strips` strips, counted through the columns, rows and
// images of a channel.

// @constants
const KERNEL_Y: u32 = 3u;
const KERNEL_X: u32 = 3u;
// At most KERNEL_Y and KERNEL_X.
const STRIDE_Y: u32 = 1u;
const STRIDE_X: u32 = 1u;
const WORKGROUP_SIZE: u32 = 32u;
const TAPS: u32 = KERNEL_Y * KERNEL_X;
// Columns of x under a strip.
const SPAN: u32 = 3u * STRIDE_X + KERNEL_X;
// Rows that the next row of dy uses again.
const KEPT: u32 = KERNEL_Y - STRIDE_Y;
// @end

struct Params {
  images: u32,
  channels: u32,
  multiplier: u32,
  height: u32,
  width: u32,
  rows: u32,
  columns: u32,
  padding_y: u32,
  padding_x: u32,
  strip_rows: u32,
  strips: u32,
  tiles: u32,
  chunk_strips: u32,
  chunks: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> parts: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let chunk = index % params.chunks;
  let channel = index / params.chunks;
  if (channel >= params.channels) { return; }

  // @scalars
  var sum: array<vec4f, TAPS>;
  // @scalars
  var window: array<array<f32, SPAN>, KERNEL_Y>;
  // @scalars
  var inside: array<bool, SPAN>;
  let end = min((chunk + 1u) * params.chunk_strips, params.images * params.strips * params.tiles);
  for (var strip = chunk * params.chunk_strips; strip < end; strip++) {
    let first_column = strip % params.tiles * 4u;
    let first_row = strip / params.tiles % params.strips * params.strip_rows;
    let plane = strip / (params.tiles * params.strips) * params.channels + channel;
    let end_row = min(first_row + params.strip_rows, params.rows);
    let columns = vec4u(first_column, first_column + 1u, first_column + 2u, first_column + 3u);
    let present = columns < vec4u(params.columns);

    // As unsigned numbers, what lies before an edge of x is past the other one. What is read outside is not used.
    let left = first_column * STRIDE_X - params.padding_x;
    var x_row = first_row * STRIDE_Y - params.padding_y;
    let x_at = plane / params.multiplier * params.height * params.width + left;
    // @unroll
    for (var c = 0u; c < SPAN; c++) {
      inside[c] = left + c < params.width;
    }
    // @unroll
    for (var r = 0u; r < KEPT; r++) {
      // @unroll
      for (var c = 0u; c < SPAN; c++) {
        window[r][c] = select(0.0, x[x_at + x_row * params.width + c], x_row < params.height && inside[c]);
      }
      x_row++;
    }
    var dy_at = (plane * params.rows + first_row) * params.columns + first_column;
    for (var row = first_row; row < end_row; row++) {
      // @unroll
      for (var r = KEPT; r < KERNEL_Y; r++) {
        // @unroll
        for (var c = 0u; c < SPAN; c++) {
          window[r][c] = select(0.0, x[x_at + x_row * params.width + c], x_row < params.height && inside[c]);
        }
        x_row++;
      }
      let read = vec4f(dy[dy_at], dy[dy_at + 1u], dy[dy_at + 2u], dy[dy_at + 3u]);
      let gradient = select(vec4f(0.0), read, present);
      dy_at += params.columns;
      // @unroll
      for (var i = 0u; i < KERNEL_Y; i++) {
        // @unroll
        for (var j = 0u; j < KERNEL_X; j++) {
          sum[i * KERNEL_X + j] = fma(gradient, vec4f(
            window[i][j],
            window[i][STRIDE_X + j],
            window[i][2u * STRIDE_X + j],
            window[i][3u * STRIDE_X + j]), sum[i * KERNEL_X + j]);
        }
      }
      // @unroll
      for (var r = 0u; r < KEPT; r++) {
        // @unroll
        for (var c = 0u; c < SPAN; c++) {
          window[r][c] = window[r + STRIDE_Y][c];
        }
      }
    }
  }
  let part_at = (chunk * params.channels + channel) * TAPS;
  // @unroll
  for (var k = 0u; k < TAPS; k++) {
    parts[part_at + k] = sum[k].x + sum[k].y + sum[k].z + sum[k].w;
  }
}
