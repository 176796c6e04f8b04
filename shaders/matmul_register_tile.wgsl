// Matrix product with register tiles and no barrier: each invocation keeps a TILE_M × TILE_N block of the result
// in registers and walks k in steps of 4 with vec4 loads.
//   y[b] = activate(op(a[b]) · op(b[b]) + bias)
// op(a): [m, k], stored [m, k], or [k, m] with TRANSPOSE_A; op(b): [k, n], stored [k, n], or [n, k] with
// TRANSPOSE_B; bias: [n]; y: [batch, m, n]. Vec4 loads need k, n and (with TRANSPOSE_A) m to be multiples of 4.
// Rows and columns past the edge repeat the last block and are not stored.

// @constants
const TILE_M: u32 = 8u;
const TILE_N: u32 = 8u;
const GROUP_M: u32 = 4u;
const GROUP_N: u32 = 4u;
const TRANSPOSE_A: bool = false;
const TRANSPOSE_B: bool = false;
const HAS_BIAS: bool = false;
const ACTIVATION: u32 = 0u;
const UNROLL: bool = true;
const BLOCKS_N: u32 = TILE_N / 4u;
const BLOCKS_M: u32 = TILE_M / 4u;
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

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

// tanh, accurate near 0 as WGSL's own is not: an odd polynomial below 0.65, else 1 - 2 / (e^2|v| + 1).
fn hyperbolic_tangent(v: vec4f) -> vec4f {
  let size = min(abs(v), vec4f(15.0));
  let z = size * size;
  var p = fma(z, vec4f(-0.005515161902), vec4f(0.02046941780));
  p = fma(p, z, vec4f(-0.05368802324));
  p = fma(p, z, vec4f(0.1333083063));
  p = fma(p, z, vec4f(-0.3333325983));
  let near = fma(size * z, p, size);
  let far = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
  let result = select(far, near, size < vec4f(0.65));
  return select(result, -result, v < vec4f(0.0));
}

fn activate(v: vec4f) -> vec4f {
  if (ACTIVATION == 1u) { return select(v, vec4f(0.0), v < vec4f(0.0)); }
  if (ACTIVATION == 2u) { return select(params.slope * v, v, v > vec4f(0.0)); }
  if (ACTIVATION == 3u) { return hyperbolic_tangent(v); }
  if (ACTIVATION == 4u) { return 1.0 / (1.0 + exp(-max(v, vec4f(-80.0)))); }
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
  let column = (tile_n * GROUP_N + local.x) * BLOCKS_N;
  let m = params.m;
  let k4 = params.k / 4u;
  let n4 = params.n / 4u;
  if (matrix >= params.batch || row >= m || column >= n4) { return; }

  // Offsets of the tile's rows of a and columns of b, in vec4; the edge repeats the last ones.
  // @scalars
  var a_at: array<u32, TILE_M>;
  // @scalars
  var b_at: array<u32, TILE_N>;
  let a_start = matrix * params.stride_a;
  let b_start = matrix * params.stride_b;
  // @unroll
  for (var i = 0u; i < TILE_M; i++) {
    a_at[i] = a_start + select(min(row + i, m - 1u) * k4, min(row / 4u + i, m / 4u - 1u), TRANSPOSE_A);
  }
  // @unroll
  for (var j = 0u; j < TILE_N; j++) {
    b_at[j] = b_start + select(min(column + j, n4 - 1u), min(column * 4u + j, params.n - 1u) * k4, TRANSPOSE_B);
  }

  // @scalars
  var sum: array<array<vec4f, BLOCKS_N>, TILE_M>;
  // @scalars
  var b_row: array<array<vec4f, BLOCKS_N>, 4>;
  for (var step = 0u; step < k4; step++) {
    // b_row[p][j] holds op(b)[4 step + p][columns of block j].
    if (TRANSPOSE_B) {
      // @unroll
      for (var j = 0u; j < BLOCKS_N; j++) {
        let c0 = b[b_at[4u * j] + step];
        let c1 = b[b_at[4u * j + 1u] + step];
        let c2 = b[b_at[4u * j + 2u] + step];
        let c3 = b[b_at[4u * j + 3u] + step];
        b_row[0u][j] = vec4f(c0.x, c1.x, c2.x, c3.x);
        b_row[1u][j] = vec4f(c0.y, c1.y, c2.y, c3.y);
        b_row[2u][j] = vec4f(c0.z, c1.z, c2.z, c3.z);
        b_row[3u][j] = vec4f(c0.w, c1.w, c2.w, c3.w);
      }
    } else {
      // @unroll
      for (var p = 0u; p < 4u; p++) {
        // @unroll
        for (var j = 0u; j < BLOCKS_N; j++) {
          b_row[p][j] = b[b_at[j] + (4u * step + p) * n4];
        }
      }
    }
    if (TRANSPOSE_A) {
      // @unroll
      for (var i = 0u; i < BLOCKS_M; i++) {
        // @unroll
        for (var p = 0u; p < 4u; p++) {
          let v = a[a_at[i] + (4u * step + p) * (m / 4u)];
          // @unroll
          for (var j = 0u; j < BLOCKS_N; j++) {
            sum[4u * i][j] = fma(vec4f(v.x), b_row[p][j], sum[4u * i][j]);
            sum[4u * i + 1u][j] = fma(vec4f(v.y), b_row[p][j], sum[4u * i + 1u][j]);
            sum[4u * i + 2u][j] = fma(vec4f(v.z), b_row[p][j], sum[4u * i + 2u][j]);
            sum[4u * i + 3u][j] = fma(vec4f(v.w), b_row[p][j], sum[4u * i + 3u][j]);
          }
        }
      }
    } else {
      // @unroll
      for (var i = 0u; i < TILE_M; i++) {
        let v = a[a_at[i] + step];
        // @unroll
        for (var j = 0u; j < BLOCKS_N; j++) {
          sum[i][j] = fma(vec4f(v.x), b_row[0u][j], sum[i][j]);
          sum[i][j] = fma(vec4f(v.y), b_row[1u][j], sum[i][j]);
          sum[i][j] = fma(vec4f(v.z), b_row[2u][j], sum[i][j]);
          sum[i][j] = fma(vec4f(v.w), b_row[3u][j], sum[i][j]);
        }
      }
    }
  }

  let y_start = matrix * m * n4;
  // @unroll
  for (var j = 0u; j < BLOCKS_N; j++) {
    if (column + j < n4) {
      var offset = vec4f(0.0);
      if (HAS_BIAS) { offset = bias[column + j]; }
      // @unroll
      for (var i = 0u; i < TILE_M; i++) {
        if (row + i < m) {
          y[y_start + (row + i) * n4 + column + j] = activate(sum[i][j] + offset);
        }
      }
    }
  }
}
