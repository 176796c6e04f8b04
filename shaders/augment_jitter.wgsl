// Brightness and contrast: y = clamp(m + (x - m) f), f = 1 + strength (2 u0 - 1), m 0 (brightness) or the copy's own mean
// (contrast, HAS_CENTER).
// x, y: [samples · copies, channels, height, width]; draws: [copies, 4], uniform in [0, 1); center: [samples · copies].
// One element an invocation.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
const HAS_CENTER: bool = false;
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
@group(0) @binding(2) var<storage, read> center: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.count) { return; }
  let image = index / (params.width * params.height * params.channels);
  let draw = draws[image % params.copies];
  let factor = 1.0 + params.strength * (2.0 * draw.x - 1.0);
  var middle = 0.0;
  if (HAS_CENTER) { middle = center[image]; }
  y[index] = clamp(middle + (x[index] - middle) * factor, params.low, params.high);
}
