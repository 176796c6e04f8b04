// Second half of a matrix product that was split along k: adds the slices' partial products in order.
//   y[b] = activate(Σ_s parts[b][s] + bias)
// parts: [batch, slices, m, n]; bias: [n]; y: [batch, m, n].

// @constants
const HAS_BIAS: bool = false;
const ACTIVATION: u32 = 0u;
// @end

struct Params {
  slices: u32,
  matrix: u32,
  n: u32,
  count: u32,
  slope: f32,
}

@group(0) @binding(0) var<storage, read> parts: array<f32>;
@group(0) @binding(1) var<storage, read> bias: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

// tanh, accurate near 0 as WGSL's own is not: an odd polynomial below 0.65, else 1 - 2 / (e^2|v| + 1).
fn hyperbolic_tangent(v: f32) -> f32 {
  let size = min(abs(v), 15.0);
  let z = size * size;
  var p = fma(z, -0.005515161902, 0.02046941780);
  p = fma(p, z, -0.05368802324);
  p = fma(p, z, 0.1333083063);
  p = fma(p, z, -0.3333325983);
  let near = fma(size * z, p, size);
  let far = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
  let result = select(far, near, size < 0.65);
  return select(result, -result, v < 0.0);
}

fn activate(v: f32) -> f32 {
  if (ACTIVATION == 1u) { return select(v, 0.0, v < 0.0); }
  if (ACTIVATION == 2u) { return select(params.slope * v, v, v > 0.0); }
  if (ACTIVATION == 3u) { return hyperbolic_tangent(v); }
  if (ACTIVATION == 4u) { return 1.0 / (1.0 + exp(-max(v, -80.0))); }
  return v;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.count) { return; }
  var at = index / params.matrix * params.slices * params.matrix + index % params.matrix;
  var sum = 0.0;
  for (var slice = 0u; slice < params.slices; slice++) {
    sum += parts[at];
    at += params.matrix;
  }
  if (HAS_BIAS) { sum += bias[index % params.n]; }
  y[index] = activate(sum);
}
