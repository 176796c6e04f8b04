// Matrix product for subgroups of 4 lanes (quads): one workgroup is a quad, which computes TILE_M × 4 TILE_N results in
// registers. Lane l loads ROWS = TILE_M / 4 rows of a and TILE_N columns of b, its own ones; a swap of b's values within
// the quad, a single shuffle, brings each lane the columns of another one, so that after four turns every row has met
// every column. No value is loaded twice in a quad, and none is broadcast. For software adapters, where a load is computed
// lane by lane and costs many times a multiply-add.
//   y[b] = activate(op(a[b]) · op(b[b]) + bias)
// op(a): [m, k], stored [m, k], or [k, m] with TRANSPOSE_A; op(b): [k, n], stored [k, n], or [n, k] with
// TRANSPOSE_B; bias: [n]; y: [batch · slices, m, n]. Vec4 loads need n, k and (with TRANSPOSE_A)
// m to be multiples of 4, and k of STEP; a bias may be shorter than n, which then was padded. With several slices
// (split-k) slice s sums over k from s · depth to (s + 1) · depth only, and matmul_split_k_sum adds them up.
// TILE_M must be a multiple of 16, TILE_N of 4.
enable subgroups;

// @constants
const TILE_M: u32 = 16u;
const TILE_N: u32 = 4u;
const STEP: u32 = 4u;
const TRANSPOSE_A: bool = false;
const TRANSPOSE_B: bool = false;
const HAS_BIAS: bool = false;
const ACTIVATION: u32 = 0u;
const ROWS: u32 = TILE_M / 4u;
const BLOCKS_M: u32 = ROWS / 4u;
const BLOCKS_N: u32 = TILE_N / 4u;
const BLOCKS_K: u32 = STEP / 4u;
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

// The values of the lane whose number differs in the bits of `turn`.
fn swap(v: vec4f, turn: u32) -> vec4f {
  if (turn == 1u) { return quadSwapX(v); }
  if (turn == 2u) { return quadSwapY(v); }
  if (turn == 3u) { return quadSwapDiagonal(v); }
  return v;
}

// A row times a matrix. Of all ways to write it SwiftShader makes the least code of four dots.
fn times(row: vec4f, columns: mat4x4f) -> vec4f {
  return vec4f(dot(row, columns[0]), dot(row, columns[1]), dot(row, columns[2]), dot(row, columns[3]));
}

@compute @workgroup_size(4)
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
  let row = tile_m * TILE_M + lane * ROWS;
  let column = (tile_n * 4u + lane) * TILE_N;
  let k4 = params.k / 4u;
  let m4 = params.m / 4u;
  let n4 = params.n / 4u;

  // @scalars
  var a_at: array<u32, ROWS>;
  // @unroll
  for (var i = 0u; i < ROWS; i++) {
    let at = select(min(row + i, params.m - 1u) * k4, min(row / 4u + i, m4 - 1u), TRANSPOSE_A);
    a_at[i] = matrix * params.stride_a + at;
  }
  // @scalars
  var b_at: array<u32, TILE_N>;
  // @unroll
  for (var j = 0u; j < TILE_N; j++) {
    let block = min(column / 4u + j, n4 - 1u);
    b_at[j] = matrix * params.stride_b + select(block, min(column + j, params.n - 1u) * k4, TRANSPOSE_B);
  }

  // sum[t][i][j] is the lane's row i, and block j of the columns of the lane that turn t swaps with; turned[t][j] are
  // those columns, 4 values along k each. A row of op(a) meets all of them before the next one is loaded, so that it is
  // no longer needed then: the loop is some 300 KB of code on SwiftShader, half of it values that go to memory and back.
  // @scalars
  var sum: array<array<array<vec4f, BLOCKS_N>, ROWS>, 4>;
  // @scalars
  var turned: array<array<mat4x4f, BLOCKS_N>, 4>;
  let first_step = part % params.slices * params.depth / STEP;
  let last_step = min(first_step + params.depth / STEP, params.k / STEP);
  for (var step = first_step; step < last_step; step++) {
    // @unroll
    for (var u = 0u; u < BLOCKS_K; u++) {
      // @unroll
      for (var j = 0u; j < BLOCKS_N; j++) {
        var block: mat4x4f;
        if (TRANSPOSE_B) {
          let c0 = b[b_at[4u * j] + step * BLOCKS_K + u];
          let c1 = b[b_at[4u * j + 1u] + step * BLOCKS_K + u];
          let c2 = b[b_at[4u * j + 2u] + step * BLOCKS_K + u];
          let c3 = b[b_at[4u * j + 3u] + step * BLOCKS_K + u];
          block = mat4x4f(c0, c1, c2, c3);
        } else {
          let first = b_at[j] + (step * STEP + 4u * u) * n4;
          block = transpose(mat4x4f(b[first], b[first + n4], b[first + 2u * n4], b[first + 3u * n4]));
        }
        // @unroll
        for (var t = 0u; t < 4u; t++) {
          turned[t][j] = mat4x4f(swap(block[0], t), swap(block[1], t), swap(block[2], t), swap(block[3], t));
        }
      }
      if (TRANSPOSE_A) {
        // @unroll
        for (var i = 0u; i < BLOCKS_M; i++) {
          let first = a_at[i] + (step * STEP + 4u * u) * m4;
          let four = transpose(mat4x4f(a[first], a[first + m4], a[first + 2u * m4], a[first + 3u * m4]));
          // @unroll
          for (var r = 0u; r < 4u; r++) {
            // @unroll
            for (var j = 0u; j < BLOCKS_N; j++) {
              // @unroll
              for (var t = 0u; t < 4u; t++) {
                sum[t][4u * i + r][j] += times(four[r], turned[t][j]);
              }
            }
          }
        }
      } else {
        // @unroll
        for (var i = 0u; i < ROWS; i++) {
          let row = a[a_at[i] + step * BLOCKS_K + u];
          // @unroll
          for (var j = 0u; j < BLOCKS_N; j++) {
            // @unroll
            for (var t = 0u; t < 4u; t++) {
              sum[t][i][j] += times(row, turned[t][j]);
            }
          }
        }
      }
    }
  }

  // A store is a long text on SwiftShader: a loop over the stores that is not unrolled halves the compile time.
  var result: array<array<array<vec4f, BLOCKS_N>, ROWS>, 4>;
  // @unroll
  for (var t = 0u; t < 4u; t++) {
    // @unroll
    for (var i = 0u; i < ROWS; i++) {
      // @unroll
      for (var j = 0u; j < BLOCKS_N; j++) {
        result[t][i][j] = sum[t][i][j];
      }
    }
  }
  let rows = min(ROWS, params.m - min(row, params.m));
  for (var t = 0u; t < 4u; t++) {
    for (var j = 0u; j < BLOCKS_N; j++) {
      let block = (tile_n * 4u + (lane ^ t)) * BLOCKS_N + j;
      if (block >= n4) { break; }
      let offset = bias_of(block);
      for (var i = 0u; i < rows; i++) {
        y[(part * params.m + row + i) * n4 + block] = activate(result[t][i][j] + offset);
      }
    }
  }
}
