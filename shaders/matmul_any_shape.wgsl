// Matrix product for shapes that vec4 loads do not divide: scalar loads, a TILE_M × TILE_N block of the result in
// the registers of each invocation, no barrier.
//   y[b] = activate(op(a[b]) · op(b[b]) + bias)
// op(a): [m, k], stored [m, k], or [k, m] with TRANSPOSE_A; op(b): [k, n], stored [k, n], or [n, k] with
// TRANSPOSE_B; bias: [n]; y: [batch, m, n]. Any m, n, k of at least 1; k = 0 gives the bias.

// @constants
const TILE_M: u32 = 4u;
const TILE_N: u32 = 4u;
const GROUP_M: u32 = 4u;
const GROUP_N: u32 = 8u;
const TRANSPOSE_A: bool = false;
const TRANSPOSE_B: bool = false;
const HAS_BIAS: bool = false;
const ACTIVATION: u32 = 0u;
const UNROLL: bool = true;
// @end

struct Params {
  m: u32,
  n: u32,
  k: u32,
  tiles_m: u32,
  tiles_n: u32,
  stride_a: u32,
  stride_b: u32,
  batch: u32,
  slope: f32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

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

@compute @workgroup_size(GROUP_N, GROUP_M)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let flat = group.x + group.y * groups.x;
  let tile_n = flat % params.tiles_n;
  let tile_m = (flat / params.tiles_n) % params.tiles_m;
  let matrix = flat / (params.tiles_n * params.tiles_m);
  let row = (tile_m * GROUP_M + local.y) * TILE_M;
  let column = (tile_n * GROUP_N + local.x) * TILE_N;
  let m = params.m;
  let n = params.n;
  let k = params.k;
  if (matrix >= params.batch || row >= m || column >= n) { return; }

  // Element p of row i of op(a) stands at a_at[i] + p * a_step; past the edge the last row repeats.
  let a_step = select(1u, m, TRANSPOSE_A);
  let b_step = select(n, 1u, TRANSPOSE_B);
  // @scalars
  var a_at: array<u32, TILE_M>;
  // @scalars
  var b_at: array<u32, TILE_N>;
  // @unroll
  for (var i = 0u; i < TILE_M; i++) {
    a_at[i] = matrix * params.stride_a + min(row + i, m - 1u) * select(k, 1u, TRANSPOSE_A);
  }
  // @unroll
  for (var j = 0u; j < TILE_N; j++) {
    b_at[j] = matrix * params.stride_b + min(column + j, n - 1u) * select(1u, k, TRANSPOSE_B);
  }

  // @scalars
  var sum: array<array<f32, TILE_N>, TILE_M>;
  // @scalars
  var b_row: array<f32, TILE_N>;
  for (var p = 0u; p < k; p++) {
    // @unroll
    for (var j = 0u; j < TILE_N; j++) {
      b_row[j] = b[b_at[j] + p * b_step];
    }
    // @unroll
    for (var i = 0u; i < TILE_M; i++) {
      let v = a[a_at[i] + p * a_step];
      // @unroll
      for (var j = 0u; j < TILE_N; j++) {
        sum[i][j] = fma(v, b_row[j], sum[i][j]);
      }
    }
  }

  // @unroll
  for (var j = 0u; j < TILE_N; j++) {
    if (column + j < n) {
      var offset = 0.0;
      if (HAS_BIAS) { offset = bias[column + j]; }
      // @unroll
      for (var i = 0u; i < TILE_M; i++) {
        if (row + i < m) {
          y[(matrix * m + row + i) * n + column + j] = activate(sum[i][j] + offset);
        }
      }
    }
  }
}
