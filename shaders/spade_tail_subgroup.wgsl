// spade_tail for subgroups of 4 or 8 lanes: one workgroup is a subgroup, which computes LANES · TILE_R rows × LANES · TILE_K
// columns in registers. Each lane loads the errors of TILE_R rows and TILE_K columns of u, its own ones; a swap of u's values
// brings each lane the columns of another one, so that after LANES turns every row has met every column, and no value is
// loaded twice. For software adapters, where a load is computed lane by lane and costs many times a multiply-add.
//   w_rk -= Σ_j e_rj U_jk, first <= j < end <= k
// w: [problems, size, outputs]; u: [problems, size, size]; errors: [problems, room, outputs in whole vec4]. Four j are added
// up at a time, so that a sum goes back to its variable once for four products. TILE_R and TILE_K must be multiples of 4.
enable subgroups;

// @constants
const LANES: u32 = 4u;
const TILE_R: u32 = 8u;
const TILE_K: u32 = 8u;
const BLOCKS_R: u32 = TILE_R / 4u;
const BLOCKS_K: u32 = TILE_K / 4u;
// @end

struct Params {
  problems: u32,
  size: u32,
  outputs: u32,
  first: u32,
  end: u32,
  room: u32,
  // Columns of errors before the first one.
  skipped: u32,
}

@group(0) @binding(0) var<storage, read> errors: array<vec4f>;
@group(0) @binding(1) var<storage, read> u: array<f32>;
@group(0) @binding(2) var<storage, read_write> w: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

// The values of the lane whose number differs in the bits of `turn`.
fn swap(v: vec4f, turn: u32) -> vec4f {
  if (LANES > 4u) { return subgroupShuffleXor(v, turn); }
  if (turn == 1u) { return quadSwapX(v); }
  if (turn == 2u) { return quadSwapY(v); }
  if (turn == 3u) { return quadSwapDiagonal(v); }
  return v;
}

// A row times a matrix. Of all ways to write it SwiftShader makes the least code of four dots.
fn times(row: vec4f, columns: mat4x4f) -> vec4f {
  return vec4f(dot(row, columns[0]), dot(row, columns[1]), dot(row, columns[2]), dot(row, columns[3]));
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let index = group.x + group.y * groups.x;
  let wide = LANES * TILE_K;
  let columns = (params.size - params.end + wide - 1u) / wide;
  let high = LANES * TILE_R;
  let rows = (params.outputs + high - 1u) / high;
  let row = index % rows * high + lane * TILE_R;
  let column = params.end + index / rows % columns * wide;
  let problem = index / (rows * columns);
  if (problem >= params.problems) { return; }
  // sum[t][k][r]: four rows of the lane's own at column k of the lane that turn t swaps with.
  // @scalars
  var sum: array<array<array<vec4f, TILE_R>, BLOCKS_K>, LANES>;
  // Four j of each own row.
  // @scalars
  var error: array<vec4f, TILE_R>;
  // Behind the last row and column what is read is not used; behind the last j errors count as zero.
  let quads = (params.outputs + 3u) / 4u;
  var error_at = (problem * params.room + params.skipped) * quads + row / 4u;
  var u_at = (problem * params.size + params.first) * params.size + column + lane * TILE_K;
  for (var j = params.first; j < params.end; j += 4u) {
    let there = vec4<bool>(true, j + 1u < params.end, j + 2u < params.end, j + 3u < params.end);
    // @unroll
    for (var i = 0u; i < BLOCKS_R; i++) {
      let at = error_at + i;
      let four = transpose(mat4x4f(
        errors[at], errors[at + quads], errors[at + 2u * quads], errors[at + 3u * quads]));
      // @unroll
      for (var e = 0u; e < 4u; e++) {
        error[4u * i + e] = select(vec4f(0.0), four[e], there);
      }
    }
    // @unroll
    for (var k = 0u; k < BLOCKS_K; k++) {
      let at = u_at + 4u * k;
      let under = at + params.size;
      let third = under + params.size;
      let last = third + params.size;
      let block = mat4x4f(
        vec4f(u[at], u[under], u[third], u[last]),
        vec4f(u[at + 1u], u[under + 1u], u[third + 1u], u[last + 1u]),
        vec4f(u[at + 2u], u[under + 2u], u[third + 2u], u[last + 2u]),
        vec4f(u[at + 3u], u[under + 3u], u[third + 3u], u[last + 3u]));
      // @unroll
      for (var t = 0u; t < LANES; t++) {
        let turned = mat4x4f(swap(block[0], t), swap(block[1], t), swap(block[2], t), swap(block[3], t));
        // @unroll
        for (var r = 0u; r < TILE_R; r++) {
          sum[t][k][r] += times(error[r], turned);
        }
      }
    }
    error_at += 4u * quads;
    u_at += 4u * params.size;
  }
  // A store is a long text on SwiftShader: a loop over the stores that is not unrolled compiles faster.
  var result: array<array<array<vec4f, TILE_R>, BLOCKS_K>, LANES>;
  // @unroll
  for (var t = 0u; t < LANES; t++) {
    // @unroll
    for (var k = 0u; k < BLOCKS_K; k++) {
      // @unroll
      for (var r = 0u; r < TILE_R; r++) {
        result[t][k][r] = sum[t][k][r];
      }
    }
  }
  let present = min(TILE_R, params.outputs - min(row, params.outputs));
  for (var t = 0u; t < LANES; t++) {
    for (var c = 0u; c < TILE_K; c++) {
      let k = column + (lane ^ t) * TILE_K + c;
      if (k >= params.size) { break; }
      let at = (problem * params.size + k) * params.outputs + row;
      for (var r = 0u; r < present; r++) {
        w[at + r] -= result[t][c / 4u][r][c % 4u];
      }
    }
  }
}
