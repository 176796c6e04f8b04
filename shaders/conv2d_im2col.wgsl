// Writes out the windows of a convolution as columns, so that the convolution becomes a matrix product: row
// (c, i, j) of an image's matrix holds, for every position, the element of x under tap (i, j) of channel c.
//   columns[n][(c, i, j)][(Y, X)] = x[n][c][Y · stride + i · dilation - padding][X · stride + …], 0 in the padding
// x: [images, channels, height, width]; columns: [images, depth, positions], both padded with zeros to multiples of 4.
// Each invocation writes 4 positions.

// @constants
const WORKGROUP_SIZE: u32 = 32u;
// @end

struct Params {
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
  padding_y: i32,
  padding_x: i32,
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
  let row = group.y;
  let image = group.z;
  let taps = params.kernel_height * params.kernel_width;
  let channel = row / taps;
  let tap = row % taps;
  let shift_y = i32(tap / params.kernel_width * params.dilation_y) - params.padding_y;
  let shift_x = i32(tap % params.kernel_width * params.dilation_x) - params.padding_x;
  let plane = (image * params.channels + channel) * params.height;
  let inside = channel < params.channels;

  var out_y = 4u * quad / params.columns;
  var out_x = 4u * quad % params.columns;
  var values = vec4f(0.0);
  // @unroll
  for (var e = 0u; e < 4u; e++) {
    // As unsigned numbers, positions before the edge are past the far one.
    let y = u32(i32(out_y * params.stride_y) + shift_y);
    let x_position = u32(i32(out_x * params.stride_x) + shift_x);
    if (inside && out_y < params.rows && y < params.height && x_position < params.width) {
      values[e] = x[(plane + y) * params.width + x_position];
    }
    out_x++;
    if (out_x == params.columns) {
      out_x = 0u;
      out_y++;
    }
  }
  columns[(image * params.depth + row) * params.quads + quad] = values;
}
