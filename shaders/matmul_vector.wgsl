// Matrix product for very few rows (matrix × vector): a workgroup computes ROWS × COLUMNS results; its SLICES
// slices walk k side by side, so that few results still fill a GPU, and are added in workgroup memory.
//   y[b] = activate(op(a[b]) · op(b[b]) + bias)
// op(a): [m, k], stored [m, k], or [k, m] with TRANSPOSE_A; op(b): [k, n], stored [k, n], or [n, k] with
// TRANSPOSE_B; bias: [n]; y: [batch, m, n]. Bound by reading b once.

// @constants
const ROWS: u32 = 4u;
const COLUMNS: u32 = 16u;
const SLICES: u32 = 16u;
const TRANSPOSE_A: bool = false;
const TRANSPOSE_B: bool = false;
const HAS_BIAS: bool = false;
const ACTIVATION: u32 = 0u;
const THREADS: u32 = COLUMNS * SLICES;
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

var<workgroup> partial: array<f32, THREADS * ROWS>;

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

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let flat = group.x + group.y * groups.x;
  let matrix = flat / (params.tiles_n * params.tiles_m);
  if (matrix >= params.batch) { return; }
  let row = (flat / params.tiles_n) % params.tiles_m * ROWS;
  // Neighboring invocations read neighboring elements of the stored b: columns, or with TRANSPOSE_B slices of k.
  let lane = select(thread % COLUMNS, thread / SLICES, TRANSPOSE_B);
  let slice = select(thread / COLUMNS, thread % SLICES, TRANSPOSE_B);
  let column = min(flat % params.tiles_n * COLUMNS + lane, params.n - 1u);
  let b_start = matrix * params.stride_b + select(column, column * params.k, TRANSPOSE_B);
  let b_step = select(params.n, 1u, TRANSPOSE_B);
  let a_step = select(1u, params.m, TRANSPOSE_A);

  // @scalars
  var a_at: array<u32, ROWS>;
  // @unroll
  for (var i = 0u; i < ROWS; i++) {
    a_at[i] = matrix * params.stride_a + min(row + i, params.m - 1u) * select(params.k, 1u, TRANSPOSE_A);
  }
  // @scalars
  var sum: array<f32, ROWS>;
  for (var p = slice; p < params.k; p += SLICES) {
    let v = b[b_start + p * b_step];
    // @unroll
    for (var i = 0u; i < ROWS; i++) {
      sum[i] = fma(a[a_at[i] + p * a_step], v, sum[i]);
    }
  }
  // @unroll
  for (var i = 0u; i < ROWS; i++) {
    partial[(i * SLICES + slice) * COLUMNS + lane] = sum[i];
  }
  workgroupBarrier();

  // The first invocations add the slices, in order.
  for (var e = thread; e < ROWS * COLUMNS; e += THREADS) {
    let i = e / COLUMNS;
    let target_column = flat % params.tiles_n * COLUMNS + e % COLUMNS;
    if (row + i < params.m && target_column < params.n) {
      var total = 0.0;
      for (var s = 0u; s < SLICES; s++) {
        total += partial[(i * SLICES + s) * COLUMNS + e % COLUMNS];
      }
      if (HAS_BIAS) { total += bias[target_column]; }
      y[(matrix * params.m + row + i) * params.n + target_column] = activate(total);
    }
  }
}
