// Matrix product with tiles in workgroup memory: a workgroup of GROUP_N × GROUP_M invocations loads DEPTH columns
// of op(a) and DEPTH rows of op(b) once, and each invocation computes TILE_M × TILE_N results from them. The form
// for GPUs, whose workgroup memory is far faster than their caches and whose barriers are cheap.
//   y[b] = activate(op(a[b]) · op(b[b]) + bias)
// op(a): [m, k], stored [m, k], or [k, m] with TRANSPOSE_A; op(b): [k, n], stored [k, n], or [n, k] with
// TRANSPOSE_B; bias: [n]; y: [batch · slices, m, n]. Any m, n, k. With several slices (split-k) slice s sums over
// k from s · depth to (s + 1) · depth only, and matmul_split_k_sum adds them up.

// @constants
const TILE_M: u32 = 4u;
const TILE_N: u32 = 4u;
const GROUP_M: u32 = 8u;
const GROUP_N: u32 = 8u;
const DEPTH: u32 = 16u;
const TRANSPOSE_A: bool = false;
const TRANSPOSE_B: bool = false;
const HAS_BIAS: bool = false;
const ACTIVATION: u32 = 0u;
const UNROLL: bool = true;
const THREADS: u32 = GROUP_M * GROUP_N;
const ROWS: u32 = TILE_M * GROUP_M;
const COLUMNS: u32 = TILE_N * GROUP_N;
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
  slices: u32,
  depth: u32,
  slope: f32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

// a_tile[p · ROWS + i] and b_tile[p · COLUMNS + j]: neighbors in i and j are neighbors in memory.
var<workgroup> a_tile: array<f32, DEPTH * ROWS>;
var<workgroup> b_tile: array<f32, DEPTH * COLUMNS>;

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
  @builtin(local_invocation_index) thread: u32,
) {
  let flat = group.x + group.y * groups.x;
  let tile_n = flat % params.tiles_n;
  let tile_m = (flat / params.tiles_n) % params.tiles_m;
  let part = flat / (params.tiles_n * params.tiles_m);
  let matrix = part / params.slices;
  if (matrix >= params.batch) { return; }
  let first_row = tile_m * ROWS;
  let first_column = tile_n * COLUMNS;
  let m = params.m;
  let n = params.n;
  let k = params.k;
  let start = (part % params.slices) * params.depth;
  let end = min(start + params.depth, k);

  // @scalars
  var sum: array<array<f32, TILE_N>, TILE_M>;
  // @scalars
  var a_column: array<f32, TILE_M>;
  for (var p0 = start; p0 < end; p0 += DEPTH) {
    // Neighboring invocations load neighboring elements of the stored matrix; zeros stand past its edges.
    for (var e = thread; e < DEPTH * ROWS; e += THREADS) {
      let i = select(e / DEPTH, e % ROWS, TRANSPOSE_A);
      let p = select(e % DEPTH, e / ROWS, TRANSPOSE_A);
      var v = 0.0;
      if (first_row + i < m && p0 + p < end) {
        v = a[matrix * params.stride_a + select((first_row + i) * k + p0 + p, (p0 + p) * m + first_row + i, TRANSPOSE_A)];
      }
      a_tile[p * ROWS + i] = v;
    }
    for (var e = thread; e < DEPTH * COLUMNS; e += THREADS) {
      let j = select(e % COLUMNS, e / DEPTH, TRANSPOSE_B);
      let p = select(e / COLUMNS, e % DEPTH, TRANSPOSE_B);
      var v = 0.0;
      if (first_column + j < n && p0 + p < end) {
        v = b[matrix * params.stride_b + select((p0 + p) * n + first_column + j, (first_column + j) * k + p0 + p, TRANSPOSE_B)];
      }
      b_tile[p * COLUMNS + j] = v;
    }
    workgroupBarrier();
    for (var p = 0u; p < DEPTH; p++) {
      // @unroll
      for (var i = 0u; i < TILE_M; i++) {
        a_column[i] = a_tile[p * ROWS + local.y * TILE_M + i];
      }
      // @unroll
      for (var j = 0u; j < TILE_N; j++) {
        let v = b_tile[p * COLUMNS + local.x * TILE_N + j];
        // @unroll
        for (var i = 0u; i < TILE_M; i++) {
          sum[i][j] = fma(a_column[i], v, sum[i][j]);
        }
      }
    }
    workgroupBarrier();
  }

  // @unroll
  for (var j = 0u; j < TILE_N; j++) {
    let column = first_column + local.x * TILE_N + j;
    if (column < n) {
      var offset = 0.0;
      if (HAS_BIAS) { offset = bias[column]; }
      // @unroll
      for (var i = 0u; i < TILE_M; i++) {
        let row = first_row + local.y * TILE_M + i;
        if (row < m) {
          y[(part * m + row) * n + column] = activate(sum[i][j] + offset);
        }
      }
    }
  }
}
