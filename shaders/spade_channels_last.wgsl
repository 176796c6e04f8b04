// The images with their channels last, as the sums of products over positions load them: a border of zeros around
// each image, and each group's channels filled up with zeros to whole vec4.
//   y[n, g, Y, X, c] = x[n, g · channels + c, Y - top, X - left], 0 outside
// x: [images, groups · channels, height, width]; y: [images, groups, rows, columns, 4 · blocks]. One vec4 an invocation.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
// @end

struct Params {
  images: u32,
  groups: u32,
  channels: u32,
  blocks: u32,
  height: u32,
  width: u32,
  rows: u32,
  columns: u32,
  top: u32,
  left: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  // Neighbors in the grid are neighbors in a row of x.
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let column = index % params.columns;
  let row = index / params.columns % params.rows;
  let block = index / (params.columns * params.rows) % (params.groups * params.blocks);
  let image = index / (params.columns * params.rows * params.groups * params.blocks);
  if (image >= params.images) { return; }
  // As unsigned numbers, what lies before an edge is past the other one.
  let source_row = row - params.top;
  let source_column = column - params.left;
  let group = block / params.blocks;
  let first = block % params.blocks * 4u;
  let plane = params.height * params.width;
  let start = (image * params.groups + group) * params.channels;
  var values = vec4f(0.0);
  if (source_row < params.height && source_column < params.width) {
    let at = source_row * params.width + source_column;
    // @unroll
    for (var u = 0u; u < 4u; u++) {
      if (first + u < params.channels) { values[u] = x[(start + first + u) * plane + at]; }
    }
  }
  let target_plane = (image * params.groups + group) * params.rows;
  y[((target_plane + row) * params.columns + column) * params.blocks + block % params.blocks] = values;
}
