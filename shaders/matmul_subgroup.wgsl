// Matrix product that shares a between the lanes of a subgroup: one workgroup is LANES lanes, each lane holds a
// TILE_M × TILE_N block of the result in registers; all lanes have the same rows and neighboring columns. Each
// value of a is loaded by one lane and broadcast, so a costs 1 / LANES of the loads of a register tile, with no
// barrier. For software adapters, where a load is computed lane by lane and costs many times a multiply-add.
//   y[b] = activate(op(a[b]) · op(b[b]) + bias)
// op(a): [m, k], stored [m, k], or [k, m] with TRANSPOSE_A; op(b): [k, n], stored [k, n], or [n, k] with
// TRANSPOSE_B; bias: [n]; y: [batch · slices, m, n]. Vec4 loads need n, k and (with TRANSPOSE_A)
// m to be multiples of 4, and k of STEP; a bias may be shorter than n, which then was padded. With several slices
// (split-k) slice s sums over k from s · depth to (s + 1) · depth only, and matmul_split_k_sum adds them up.
// The subgroup must have at least LANES lanes; TILE_M · STEP / 4 must be a multiple of LANES.
enable subgroups;

// @constants
const TILE_M: u32 = 16u;
const TILE_N: u32 = 4u;
const STEP: u32 = 4u;
const LANES: u32 = 4u;
const TRANSPOSE_A: bool = false;
const TRANSPOSE_B: bool = false;
const HAS_BIAS: bool = false;
const ACTIVATION: u32 = 0u;
const BLOCKS_M: u32 = TILE_M / 4u;
const BLOCKS_N: u32 = TILE_N / 4u;
const BLOCKS_K: u32 = STEP / 4u;
const LOADS_A: u32 = TILE_M * STEP / 4u / LANES;
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

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
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

// Of a block of 4 columns.
fn bias_of(block: u32) -> vec4f {
  if (!HAS_BIAS) { return vec4f(0.0); }
  let last = arrayLength(&bias) - 1u;
  let c = 4u * block;
  return vec4f(bias[c], bias[min(c + 1u, last)], bias[min(c + 2u, last)], bias[min(c + 3u, last)]);
}

// sum + columns · v. With fma() lavapipe adds and multiplies in one instruction; SwiftShader, with its 4 lanes, has none,
// and makes less code of the other form.
fn times(columns: mat4x4f, v: vec4f, sum: vec4f) -> vec4f {
  if (LANES == 4u) { return sum + columns * v; }
  let half = fma(columns[1], vec4f(v.y), fma(columns[0], vec4f(v.x), sum));
  return fma(columns[3], vec4f(v.w), fma(columns[2], vec4f(v.z), half));
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
  let column = (tile_n * LANES + lane) * TILE_N;
  let k4 = params.k / 4u;
  let m4 = params.m / 4u;
  let n4 = params.n / 4u;

  // The vec4 of a's tile are dealt to the lanes in turn: this lane loads number lane + LANES · l.
  // @scalars
  var a_at: array<u32, LOADS_A>;
  // @unroll
  for (var l = 0u; l < LOADS_A; l++) {
    let part = lane + LANES * l;
    if (TRANSPOSE_A) {
      a_at[l] = matrix * params.stride_a + (part % STEP) * m4 + min(row / 4u + part / STEP, m4 - 1u);
    } else {
      a_at[l] = matrix * params.stride_a + min(row + part / BLOCKS_K, params.m - 1u) * k4 + part % BLOCKS_K;
    }
  }
  let a_step = select(BLOCKS_K, STEP * m4, TRANSPOSE_A);
  // @scalars
  var b_at: array<u32, TILE_N>;
  // @unroll
  for (var j = 0u; j < TILE_N; j++) {
    let block = min(column / 4u + j, n4 - 1u);
    b_at[j] = matrix * params.stride_b + select(block, min(column + j, params.n - 1u) * k4, TRANSPOSE_B);
  }

  // sum[i][j] is row i of the tile, columns of block j; a_row[i][u] is row i of op(a), 4 values along k.
  // @scalars
  var sum: array<array<vec4f, BLOCKS_N>, TILE_M>;
  // @scalars
  var a_part: array<vec4f, LOADS_A>;
  // @scalars
  var a_row: array<array<vec4f, BLOCKS_K>, TILE_M>;
  let first_step = part % params.slices * params.depth / STEP;
  let last_step = min(first_step + params.depth / STEP, params.k / STEP);
  for (var step = first_step; step < last_step; step++) {
    // @unroll
    for (var l = 0u; l < LOADS_A; l++) {
      a_part[l] = a[a_at[l] + step * a_step];
    }
    // @unroll
    for (var u = 0u; u < BLOCKS_K; u++) {
      if (TRANSPOSE_A) {
        // @unroll
        for (var i = 0u; i < BLOCKS_M; i++) {
          let c0 = subgroupBroadcast(a_part[(i * STEP + 4u * u) / LANES], (i * STEP + 4u * u) % LANES);
          let c1 = subgroupBroadcast(a_part[(i * STEP + 4u * u + 1u) / LANES], (i * STEP + 4u * u + 1u) % LANES);
          let c2 = subgroupBroadcast(a_part[(i * STEP + 4u * u + 2u) / LANES], (i * STEP + 4u * u + 2u) % LANES);
          let c3 = subgroupBroadcast(a_part[(i * STEP + 4u * u + 3u) / LANES], (i * STEP + 4u * u + 3u) % LANES);
          a_row[4u * i][u] = vec4f(c0.x, c1.x, c2.x, c3.x);
          a_row[4u * i + 1u][u] = vec4f(c0.y, c1.y, c2.y, c3.y);
          a_row[4u * i + 2u][u] = vec4f(c0.z, c1.z, c2.z, c3.z);
          a_row[4u * i + 3u][u] = vec4f(c0.w, c1.w, c2.w, c3.w);
        }
      } else {
        // @unroll
        for (var i = 0u; i < TILE_M; i++) {
          a_row[i][u] = subgroupBroadcast(a_part[(i * BLOCKS_K + u) / LANES], (i * BLOCKS_K + u) % LANES);
        }
      }
      // A 4 × 4 block of op(b) times 4 values of a: 4 sums of 4 products each, one after the other, so that
      // few values are alive at a time.
      // @unroll
      for (var j = 0u; j < BLOCKS_N; j++) {
        if (TRANSPOSE_B) {
          let c0 = b[b_at[4u * j] + step * BLOCKS_K + u];
          let c1 = b[b_at[4u * j + 1u] + step * BLOCKS_K + u];
          let c2 = b[b_at[4u * j + 2u] + step * BLOCKS_K + u];
          let c3 = b[b_at[4u * j + 3u] + step * BLOCKS_K + u];
          let block = transpose(mat4x4f(c0, c1, c2, c3));
          // @unroll
          for (var i = 0u; i < TILE_M; i++) {
            sum[i][j] = times(block, a_row[i][u], sum[i][j]);
          }
        } else {
          let first = b_at[j] + (step * STEP + 4u * u) * n4;
          let block = mat4x4f(b[first], b[first + n4], b[first + 2u * n4], b[first + 3u * n4]);
          // @unroll
          for (var i = 0u; i < TILE_M; i++) {
            sum[i][j] = times(block, a_row[i][u], sum[i][j]);
          }
        }
      }
    }
  }

  // @unroll
  for (var j = 0u; j < BLOCKS_N; j++) {
    let block = column / 4u + j;
    if (block < n4) {
      let offset = bias_of(block);
      // @unroll
      for (var i = 0u; i < TILE_M; i++) {
        if (row + i < params.m) {
          y[(part * params.m + row + i) * n4 + block] = activate(sum[i][j] + offset);
        }
      }
    }
  }
}
