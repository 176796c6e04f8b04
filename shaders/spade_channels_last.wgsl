// The images with their channels last, as the sums of products over positions load them: a border of zeros around
// each image, and each group's channels filled up with zeros to whole vec4.
//   y[n, g, Y, X, c] = x[n, g · channels + c, Y - top, X - left], 0 outside
// x: [images, groups · channels, height, width]; y: [images, groups, rows, columns, 4 · blocks]. One row of a block of 4
// channels of an image an invocation, so that there is no division an element: it is dear where lanes divide in turn.

// @constants
const WORKGROUP_SIZE: u32 = 32u;
// @end

struct Params {
  planes: u32,
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
  // Blocks of a row are neighbors, as they are in y.
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let block = index % params.blocks;
  let line = index / params.blocks;
  // Of images and groups of channels.
  let plane = line / params.rows;
  if (plane >= params.planes) { return; }
  let first = 4u * block;
  let area = params.height * params.width;
  // As unsigned numbers, what lies before an edge is past the other one.
  let row = line % params.rows - params.top;
  let source = (plane * params.channels + first) * area + row * params.width - params.left;
  let there = vec4<bool>(row < params.height) & (first + vec4u(0u, 1u, 2u, 3u) < vec4u(params.channels));
  let row_at = line * params.columns * params.blocks + block;
  for (var column = 0u; column < params.columns; column++) {
    let at = source + column;
    let inside = there & vec4<bool>(column - params.left < params.width);
    let four = vec4f(x[at], x[at + area], x[at + 2u * area], x[at + 3u * area]);
    y[row_at + column * params.blocks] = select(vec4f(0.0), four, inside);
  }
}
