// Writes out the windows of a convolution as columns, so that the convolution becomes one matrix product: row
// (c, i, j) holds, for every position of every image, the element of x under tap (i, j) of channel c.
//   columns[(c, i, j)][(n, Y, X)] = x[n][c][Y · stride + i · dilation - padding][X · stride + …], 0 in the padding
// x: [images, channels, height, width]; columns: [depth, 4 · quads], filled up with zeros past the last tap and
// the last position. Each invocation writes 4 positions for all taps of one row of a channel's kernel.

// @constants
const WORKGROUP_SIZE: u32 = 32u;
// @end

struct Params {
  images: u32,
  channels: u32,
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
  depth: u32,
  quads: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> columns: array<vec4f>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let quad = group.x * WORKGROUP_SIZE + local.x;
  if (quad >= params.quads) { return; }
  let channel = group.y / params.kernel_height;
  let kernel_row = group.y % params.kernel_height;
  let first = group.y * params.kernel_width;
  if (channel >= params.channels) {
    for (var row = first; row < params.depth; row++) {
      columns[row * params.quads + quad] = vec4f(0.0);
    }
    return;
  }

  // For each of the 4 positions: where its window's row starts in x, and its first column; as unsigned numbers,
  // what lies before an edge is past the other one, and so is a position past the last image.
  var start: vec4u;
  var left: vec4u;
  let plane = params.rows * params.columns;
  var image = 4u * quad / plane;
  var out_y = 4u * quad % plane / params.columns;
  var out_x = 4u * quad % plane % params.columns;
  // @unroll
  for (var e = 0u; e < 4u; e++) {
    let y = out_y * params.stride_y + kernel_row * params.dilation_y - params.padding_y;
    start[e] = ((image * params.channels + channel) * params.height + y) * params.width;
    left[e] = select(0x80000000u, out_x * params.stride_x - params.padding_x, y < params.height && image < params.images);
    out_x++;
    if (out_x == params.columns) {
      out_x = 0u;
      out_y++;
      if (out_y == params.rows) {
        out_y = 0u;
        image++;
      }
    }
  }
  for (var j = 0u; j < params.kernel_width; j++) {
    var values = vec4f(0.0);
    // @unroll
    for (var e = 0u; e < 4u; e++) {
      let position = left[e] + j * params.dilation_x;
      if (position < params.width) { values[e] = x[start[e] + position]; }
    }
    columns[(first + j) * params.quads + quad] = values;
  }
}
