// Matrix product of any shape that shares a between the lanes of a subgroup, as matmul_subgroup does, but value by
// value: no copy to rows that vec4 loads divide. One workgroup is LANES lanes, each lane holds TILE_M × TILE_N results
// in registers; all lanes have the same rows, and lane l has the columns l, l + LANES, l + 2 LANES … of the tile, so
// that few columns still keep all lanes busy.
//   y[b] = activate(op(a[b]) · op(b[b]) + bias)
// op(a): [m, k], stored [m, k], or [k, m] with TRANSPOSE_A; op(b): [k, n], stored [k, n], or [n, k] with
// TRANSPOSE_B; bias: [n]; y: [batch · slices, m, n]. With several slices (split-k) slice s sums over k from
// s · depth to (s + 1) · depth only, and matmul_split_k_sum adds them up. Rows and columns past the edge repeat the
// last ones and are not stored.
// The subgroup must have at least LANES lanes; 4 · TILE_M must be a multiple of LANES.
enable subgroups;

// @constants
const TILE_M: u32 = 8u;
const TILE_N: u32 = 4u;
const LANES: u32 = 4u;
const TRANSPOSE_A: bool = false;
const TRANSPOSE_B: bool = false;
const HAS_BIAS: bool = false;
const ACTIVATION: u32 = 0u;
const LOADS_A: u32 = TILE_M * 4u / LANES;
const TAIL_LOADS: u32 = (TILE_M + LANES - 1u) / LANES;
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

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let flat = group.x + group.y * groups.x;
  let tile_n = flat % params.tiles_n;
  let tile_m = (flat / params.tiles_n) % params.tiles_m;
  let part = flat / (params.tiles_n * params.tiles_m);
  let matrix = part / params.slices;
  if (matrix >= params.batch) { return; }
  let row = tile_m * TILE_M;
  let column = tile_n * LANES * TILE_N + lane;
  let m = params.m;
  let n = params.n;
  let k = params.k;

  // Of the 4 columns of op(a) that a step takes, this lane loads the values number lane + LANES · l, in the order in
  // which they are stored.
  let a_step = select(1u, m, TRANSPOSE_A);
  let b_step = select(n, 1u, TRANSPOSE_B);
  let first = part % params.slices * params.depth;
  let end = min(first + params.depth, k);
  // @scalars
  var a_at: array<u32, LOADS_A>;
  // @unroll
  for (var l = 0u; l < LOADS_A; l++) {
    let v = lane + LANES * l;
    let i = select(v / 4u, v % TILE_M, TRANSPOSE_A);
    let p = select(v % 4u, v / TILE_M, TRANSPOSE_A);
    a_at[l] = matrix * params.stride_a + min(row + i, m - 1u) * select(k, 1u, TRANSPOSE_A) + (first + p) * a_step;
  }
  // @scalars
  var b_at: array<u32, TILE_N>;
  // @unroll
  for (var j = 0u; j < TILE_N; j++) {
    b_at[j] = matrix * params.stride_b + min(column + j * LANES, n - 1u) * select(1u, k, TRANSPOSE_B) + first * b_step;
  }

  // @scalars
  var sum: array<array<f32, TILE_N>, TILE_M>;
  // @scalars
  var a_part: array<f32, LOADS_A>;
  // @scalars
  var b_row: array<array<f32, TILE_N>, 4>;
  let steps = (end - first) / 4u;
  for (var step = 0u; step < steps; step++) {
    // @unroll
    for (var l = 0u; l < LOADS_A; l++) {
      a_part[l] = a[a_at[l] + step * 4u * a_step];
    }
    // @unroll
    for (var p = 0u; p < 4u; p++) {
      // @unroll
      for (var j = 0u; j < TILE_N; j++) {
        b_row[p][j] = b[b_at[j] + (step * 4u + p) * b_step];
      }
    }
    // @unroll
    for (var i = 0u; i < TILE_M; i++) {
      // Four products are added up before the sum goes back to its variable, which is dear on software adapters.
      if (TRANSPOSE_A) {
        let a0 = subgroupBroadcast(a_part[i / LANES], i % LANES);
        let a1 = subgroupBroadcast(a_part[(TILE_M + i) / LANES], (TILE_M + i) % LANES);
        let a2 = subgroupBroadcast(a_part[(2u * TILE_M + i) / LANES], (2u * TILE_M + i) % LANES);
        let a3 = subgroupBroadcast(a_part[(3u * TILE_M + i) / LANES], (3u * TILE_M + i) % LANES);
        // @unroll
        for (var j = 0u; j < TILE_N; j++) {
          sum[i][j] = sum[i][j] + a0 * b_row[0][j] + a1 * b_row[1][j] + a2 * b_row[2][j] + a3 * b_row[3][j];
        }
      } else {
        let a0 = subgroupBroadcast(a_part[4u * i / LANES], 4u * i % LANES);
        let a1 = subgroupBroadcast(a_part[(4u * i + 1u) / LANES], (4u * i + 1u) % LANES);
        let a2 = subgroupBroadcast(a_part[(4u * i + 2u) / LANES], (4u * i + 2u) % LANES);
        let a3 = subgroupBroadcast(a_part[(4u * i + 3u) / LANES], (4u * i + 3u) % LANES);
        // @unroll
        for (var j = 0u; j < TILE_N; j++) {
          sum[i][j] = sum[i][j] + a0 * b_row[0][j] + a1 * b_row[1][j] + a2 * b_row[2][j] + a3 * b_row[3][j];
        }
      }
    }
  }
  // What 4 does not divide, column by column.
  // @scalars
  var a_column: array<f32, TAIL_LOADS>;
  // @scalars
  var b_last: array<f32, TILE_N>;
  for (var p = 4u * steps; p < end - first; p++) {
    // @unroll
    for (var l = 0u; l < TAIL_LOADS; l++) {
      let i = min(row + lane + LANES * l, m - 1u);
      a_column[l] = a[matrix * params.stride_a + select(i * k + first + p, (first + p) * m + i, TRANSPOSE_A)];
    }
    // @unroll
    for (var j = 0u; j < TILE_N; j++) {
      b_last[j] = b[b_at[j] + p * b_step];
    }
    // @unroll
    for (var i = 0u; i < TILE_M; i++) {
      let v = subgroupBroadcast(a_column[i / LANES], i % LANES);
      // @unroll
      for (var j = 0u; j < TILE_N; j++) {
        sum[i][j] += v * b_last[j];
      }
    }
  }

  // @unroll
  for (var j = 0u; j < TILE_N; j++) {
    let c = column + j * LANES;
    if (c < n) {
      var offset = 0.0;
      if (HAS_BIAS) { offset = bias[c]; }
      // @unroll
      for (var i = 0u; i < TILE_M; i++) {
        if (row + i < m) {
          y[(part * m + row + i) * n + c] = activate(sum[i][j] + offset);
        }
      }
    }
  }
}
