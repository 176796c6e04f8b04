// Shifts each copy by whole pixels, from -pixels to pixels down by u0 and to the right by u1; the border's pixels repeat.
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
  pixels: f32,
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
  let distance = vec2i(floor(draw.xy * (2.0 * params.pixels + 1.0)) - params.pixels);
  let source = vec2i(i32(row), i32(column)) - distance;
  let at = vec2u(clamp(source, vec2i(0), vec2i(i32(params.height), i32(params.width)) - 1));
  y[index] = x[plane + at.x * params.width + at.y];
}
