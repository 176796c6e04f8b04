// The images with their channels last, as the sums of products over positions load them: a border of zeros around
// each image, and each group's channels filled up with zeros to whole vec4.
//   y[n, g, Y, X, c] = x[n, g · channels + c, Y - top, X - left], 0 outside
// x: [images, groups · channels, height, width]; y: [images, groups, rows, columns, 4 · blocks]. One workgroup a block of
// 4 channels of an image, whose positions its lanes share: a division an element is dear where lanes divide in turn.

// @constants
const LANES: u32 = 64u;
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

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  // Of images and groups of channels.
  let index = workgroup.x + workgroup.y * workgroups.x;
  let plane = index / params.blocks;
  if (plane >= params.planes) { return; }
  let block = index % params.blocks;
  let first = block * 4u;
  let area = params.height * params.width;
  let source = (plane * params.channels + first) * area;
  let positions = params.rows * params.columns;
  for (var position = lane; position < positions; position += LANES) {
    // As unsigned numbers, what lies before an edge is past the other one.
    let row = position / params.columns - params.top;
    let column = position % params.columns - params.left;
    var values = vec4f(0.0);
    if (row < params.height && column < params.width) {
      let at = source + row * params.width + column;
      // @unroll
      for (var u = 0u; u < 4u; u++) {
        if (first + u < params.channels) { values[u] = x[at + u * area]; }
      }
    }
    y[(plane * positions + position) * params.blocks + block] = values;
  }
}
