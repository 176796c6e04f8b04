// Gradient of the mean of each plane: every element gets the same share.
//   dx[n, c, p] = dy[n, c] / plane
// dy: [planes]; dx: [planes, plane].

struct Params {
  planes: u32,
  plane: u32,
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index < params.planes * params.plane) { dx[index] = dy[index / params.plane] / f32(params.plane); }
}
