// Gradient of max pooling where the windows are not known, only what they took: one invocation a plane puts
// every dy in its place, in order, so that the sums of overlapping windows are the same in every run.
//   dx[n, c, argmax[n, c, Y, X]] += dy[n, c, Y, X]
// dy, argmax: [planes, rows · columns]; dx: [planes, height · width]. An argmax past the plane is left out.

struct Params {
  planes: u32,
  plane: u32,
  outputs: u32,
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read> argmax: array<u32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.planes) { return; }
  let plane_at = index * params.plane;
  for (var i = 0u; i < params.plane; i++) { dx[plane_at + i] = 0.0; }
  for (var at = index * params.outputs; at < (index + 1u) * params.outputs; at++) {
    let place = argmax[at];
    if (place < params.plane) { dx[plane_at + place] += dy[at]; }
  }
}
