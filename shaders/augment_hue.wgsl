// Turns the hue of each copy by strength (2 u0 - 1) of the circle: a rotation of the colors about the gray axis, which
// keeps what (r + g + b) / 3 is, cut off to the range.
// x, y: [samples · copies, 3, height, width]; draws: [copies, 4], uniform in [0, 1). One element an invocation.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
// @end

struct Params {
  count: u32,
  copies: u32,
  channels: u32,
  height: u32,
  width: u32,
  strength: f32,
  low: f32,
  high: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> draws: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.count) { return; }
  let image = index / (params.width * params.height * params.channels);
  let draw = draws[image % params.copies];
  let turn = 6.283185307 * params.strength * (2.0 * draw.x - 1.0);
  let area = params.width * params.height;
  let channel = index / area % 3u;
  let pixel = index - channel * area;
  let own = x[index];
  let next = x[pixel + (channel + 1u) % 3u * area];
  let last = x[pixel + (channel + 2u) % 3u * area];
  // Rodrigues' rotation about (1, 1, 1) / √3.
  let gray = (own + next + last) / 3.0;
  let across = (last - next) * 0.5773502692;
  y[index] = clamp(gray + (own - gray) * cos(turn) + across * sin(turn), params.low, params.high);
}
