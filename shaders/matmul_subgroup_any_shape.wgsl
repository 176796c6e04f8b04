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
const BLOCKS: u32 = TILE_N / 4u;
const LAST: u32 = BLOCKS * 4u;
const REST: u32 = TILE_N % 4u;
const FOURS: u32 = (TILE_N + 3u) / 4u;
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

  // sum[i][q] is row i of the tile, columns 4q to 4q + 3; rest[i][j] the columns behind the last whole four.
  // @scalars
  var sum: array<array<vec4f, BLOCKS>, TILE_M>;
  // @scalars
  var rest: array<array<f32, REST>, TILE_M>;
  // @scalars
  var a_part: array<f32, LOADS_A>;
  // @scalars
  var a_row: array<vec4f, TILE_M>;
  // @scalars
  var b_row: array<array<f32, TILE_N>, 4>;
  let steps = (end - first + 3u) / 4u;
  for (var step = 0u; step < steps; step++) {
    // Behind the end of k stand zeros, in both: a zero times what happens to be there could be NaN.
    let left = end - first - step * 4u;
    // @unroll
    for (var l = 0u; l < LOADS_A; l++) {
      let v = lane + LANES * l;
      let p = select(v % 4u, v / TILE_M, TRANSPOSE_A);
      a_part[l] = select(0.0, a[a_at[l] + step * 4u * a_step], p < left);
    }
    // @unroll
    for (var p = 0u; p < 4u; p++) {
      // @unroll
      for (var j = 0u; j < TILE_N; j++) {
        b_row[p][j] = select(0.0, b[b_at[j] + (step * 4u + p) * b_step], p < left);
      }
    }
    // @unroll
    for (var i = 0u; i < TILE_M; i++) {
      if (TRANSPOSE_A) {
        let a0 = subgroupBroadcast(a_part[i / LANES], i % LANES);
        let a1 = subgroupBroadcast(a_part[(TILE_M + i) / LANES], (TILE_M + i) % LANES);
        let a2 = subgroupBroadcast(a_part[(2u * TILE_M + i) / LANES], (2u * TILE_M + i) % LANES);
        let a3 = subgroupBroadcast(a_part[(3u * TILE_M + i) / LANES], (3u * TILE_M + i) % LANES);
        a_row[i] = vec4f(a0, a1, a2, a3);
      } else {
        let a0 = subgroupBroadcast(a_part[4u * i / LANES], 4u * i % LANES);
        let a1 = subgroupBroadcast(a_part[(4u * i + 1u) / LANES], (4u * i + 1u) % LANES);
        let a2 = subgroupBroadcast(a_part[(4u * i + 2u) / LANES], (4u * i + 2u) % LANES);
        let a3 = subgroupBroadcast(a_part[(4u * i + 3u) / LANES], (4u * i + 3u) % LANES);
        a_row[i] = vec4f(a0, a1, a2, a3);
      }
    }
    // Four products are added up before the sum goes back to its variable, which is dear on software adapters.
    // @unroll
    for (var q = 0u; q < BLOCKS; q++) {
      let block = mat4x4f(
        vec4f(b_row[0][4u * q], b_row[0][4u * q + 1u], b_row[0][4u * q + 2u], b_row[0][4u * q + 3u]),
        vec4f(b_row[1][4u * q], b_row[1][4u * q + 1u], b_row[1][4u * q + 2u], b_row[1][4u * q + 3u]),
        vec4f(b_row[2][4u * q], b_row[2][4u * q + 1u], b_row[2][4u * q + 2u], b_row[2][4u * q + 3u]),
        vec4f(b_row[3][4u * q], b_row[3][4u * q + 1u], b_row[3][4u * q + 2u], b_row[3][4u * q + 3u]),
      );
      // @unroll
      for (var i = 0u; i < TILE_M; i++) {
        sum[i][q] += block * a_row[i];
      }
    }
    // @unroll
    for (var j = 0u; j < REST; j++) {
      let values = vec4f(b_row[0][LAST + j], b_row[1][LAST + j], b_row[2][LAST + j], b_row[3][LAST + j]);
      // @unroll
      for (var i = 0u; i < TILE_M; i++) {
        rest[i][j] += dot(values, a_row[i]);
      }
    }
  }

  // A store is a long text on software adapters: the loop over them is not unrolled, which halves the compile time. In
  // fours, since drivers unroll by themselves what runs over a plain array.
  var result: array<array<vec4f, FOURS>, TILE_M>;
  // @unroll
  for (var i = 0u; i < TILE_M; i++) {
    // @unroll
    for (var q = 0u; q < BLOCKS; q++) {
      result[i][q] = sum[i][q];
    }
    // @unroll
    for (var j = 0u; j < REST; j++) {
      result[i][BLOCKS][j] = rest[i][j];
    }
  }
  for (var j = 0u; j < TILE_N; j++) {
    let c = column + j * LANES;
    if (c >= n) { break; }
    var offset = 0.0;
    if (HAS_BIAS) { offset = bias[c]; }
    for (var i = 0u; i < TILE_M; i++) {
      if (row + i < m) { y[(part * m + row + i) * n + c] = activate(result[i][j / 4u][j % 4u] + offset); }
    }
  }
}
