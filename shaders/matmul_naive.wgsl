// Matrix product as the formula says it: one invocation an element of the result. The first rung of the ladder
// (bench/ladder.md); the library itself never picks it.
//   y[i][j] = Σ_p a[i][p] · b[p][j]
// a: [m, k]; b: [k, n]; y: [m, n].

struct Params {
  m: u32,
  n: u32,
  k: u32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.n || id.y >= params.m) { return; }
  var sum = 0.0;
  for (var p = 0u; p < params.k; p++) {
    sum += a[id.y * params.k + p] * b[p * params.n + id.x];
  }
  y[id.y * params.n + id.x] = sum;
}
