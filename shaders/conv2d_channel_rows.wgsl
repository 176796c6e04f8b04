// The channels of a batch of images as rows, the images side by side: what a matrix product over all positions takes.
//   y[c][(n, p)] = x[n][c][p], 0 past the last position
// x: [images, channels, plane]; y: [channels, positions], positions ≥ images · plane.

struct Params {
  channels: u32,
  positions: u32,
  plane: u32,
  used: u32,
  count: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.count) { return; }
  let channel = index / params.positions;
  let position = index % params.positions;
  var value = 0.0;
  if (position < params.used) {
    value = x[(position / params.plane * params.channels + channel) * params.plane + position % params.plane];
  }
  y[index] = value;
}
