// The end of a convolution that was computed as one matrix product for all images: channels back into their
// images, bias and activation.
//   y[n][c][p] = activate(x[c][(n, p)] + bias[c])
// x: [channels, positions], positions ≥ images · plane; bias: [channels]; y: [images, channels, plane].

// @constants
const WORKGROUP_SIZE: u32 = 64u;
const HAS_BIAS: bool = false;
const ACTIVATION: u32 = 0u;
// @end

struct Params {
  channels: u32,
  positions: u32,
  plane: u32,
  count: u32,
  slope: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> bias: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

fn activate(v: f32) -> f32 {
  if (ACTIVATION == 1u) { return select(v, 0.0, v < 0.0); }
  if (ACTIVATION == 2u) { return select(params.slope * v, v, v > 0.0); }
  return v;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.count) { return; }
  let row = index / params.plane;
  let channel = row % params.channels;
  var v = x[channel * params.positions + row / params.channels * params.plane + index % params.plane];
  if (HAS_BIAS) { v += bias[channel]; }
  y[index] = activate(v);
}
