// DeepLift's multipliers through what is not linear: the change of the output over that of the input.
//   dx[i] = flow[i] / (x[i] - x0[i]), where the two differ by at least 1e-6 of their size (and of 1),
//   else near[i]
// flow: the multiplier behind times the output's change; near: the gradient, for inputs that hardly differ.
// x0: x's shape, or one image of it, repeated: baseline_size elements.

struct Params {
  count: u32,
  baseline_size: u32,
}

@group(0) @binding(0) var<storage, read> flow: array<f32>;
@group(0) @binding(1) var<storage, read> near: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> x0: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
const SMALLEST = 1e-6;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let step = groups.x * groups.y * WORKGROUP_SIZE;
  for (var i = id.x + id.y * groups.x * WORKGROUP_SIZE; i < params.count; i += step) {
    let change = x[i] - x0[i % params.baseline_size];
    if (abs(change) < SMALLEST * max(1.0, abs(x[i]))) {
      dx[i] = near[i];
    } else {
      dx[i] = flow[i] / change;
    }
  }
}
