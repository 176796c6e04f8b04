// The mean of each plane.
//   y[n, c] = Σ_p x[n, c, p] / plane
// x: [planes, plane]; y: [planes], an invocation each. Sums of BLOCK elements are made first and then added:
// one long sum would lose digits.

struct Params {
  planes: u32,
  plane: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
const BLOCK = 256u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.planes) { return; }
  let end = (index + 1u) * params.plane;
  var at = index * params.plane;
  var sum = 0.0;
  while (at < end) {
    let stop = min(at + BLOCK, end);
    var block_sum = 0.0;
    for (; at < stop; at++) { block_sum += x[at]; }
    sum += block_sum;
  }
  y[index] = sum / f32(params.plane);
}
