// Mirrors each copy whose u0 is below the probability, from left to right, or upside down with `vertical` 1.
// x, y: [samples · copies, channels, height, width]; draws: [copies, 4], uniform in [0, 1). One element an invocation.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
// @end

struct Params {
  count: u32,
  copies: u32,
  channels: u32,
  height: u32,
  width: u32,
  probability: f32,
  vertical: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> draws: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.count) { return; }
  let column = index % params.width;
  let row = index / params.width % params.height;
  let image = index / (params.width * params.height * params.channels);
  let plane = index - row * params.width - column;
  let draw = draws[image % params.copies];
  let flips = draw.x < params.probability;
  let source_row = select(row, params.height - 1u - row, flips && params.vertical == 1u);
  let source_column = select(column, params.width - 1u - column, flips && params.vertical == 0u);
  y[index] = x[plane + source_row * params.width + source_column];
}
