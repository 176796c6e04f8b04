// Crops each copy at random and resizes the crop bilinearly to the whole image (pixel centers aligned, as in PyTorch):
// a share low + (high - low) u0 of the area, width / height exp(aspect_low + (aspect_high - aspect_low) u1), cut off at
// the image, its place by u2 and u3.
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
  low: f32,
  high: f32,
  aspect_low: f32,
  aspect_high: f32,
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
  let area = mix(params.low, params.high, draw.x);
  let aspect = exp(mix(params.aspect_low, params.aspect_high, draw.y));
  // Aspect is that of the crop in shares of the sides, so that a long image is cropped as a square one.
  let size = min(sqrt(area * vec2f(1.0 / aspect, aspect)), vec2f(1.0));
  let corner = draw.zw * (1.0 - size);
  let sides = vec2f(f32(params.height), f32(params.width));
  let place = (vec2f(f32(row), f32(column)) + 0.5) * size + corner * sides - 0.5;
  let at = clamp(place, vec2f(0.0), sides - 1.0);
  let near = vec2u(at);
  let far = min(near + 1u, vec2u(params.height, params.width) - 1u);
  let share = at - vec2f(near);
  let top = mix(x[plane + near.x * params.width + near.y], x[plane + near.x * params.width + far.y], share.y);
  let bottom = mix(x[plane + far.x * params.width + near.y], x[plane + far.x * params.width + far.y], share.y);
  y[index] = mix(top, bottom, share.x);
}
