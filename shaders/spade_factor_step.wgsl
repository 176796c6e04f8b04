// A row of blocks in block Cholesky with the inverse beside it. Above row b, m holds the rows of Lᵀ right of the diagonal,
// and those of L⁻¹ from the diagonal to the left; from row b on, what is still to be factored. For all blocks j of row b:
//   sums:      m_bj = m_bj - Σ_k m_kbᵀ m_kj, k < b, for j >= b;  m_bj = -Σ_k m_kbᵀ m_kj, j <= k < b, for j < b
//              and of the block on the diagonal then L Lᵀ = m_bb,  m_bb = W = L⁻¹, lower triangular
//   MULTIPLY:  m_bj = W m_bj, j ≠ b
// m: [problems, width, width]; v, Wᵀ: [problems, SIDE, SIDE]; failed: u32 [problems], 1 where a pivot was not positive. One
// workgroup is LANES lanes and computes a block: they share its rows and have neighboring columns; each value of the first
// factor is loaded by one lane and broadcast. For software adapters, where a load is computed lane by lane, and a barrier
// costs many loads.
enable subgroups;

// @constants
const SIDE: u32 = 32u;
const MULTIPLY: bool = false;
const LANES: u32 = 4u;
const TILE_N: u32 = SIDE / LANES;
const BLOCKS_M: u32 = SIDE / 4u;
const BLOCKS_N: u32 = TILE_N / 4u;
const LOADS_A: u32 = SIDE / LANES;
// @end

struct Params {
  // Of SIDE columns.
  blocks: u32,
  block: u32,
  // SIDE, which the compiler is not to know: it would unroll the loops.
  side: u32,
}

@group(0) @binding(0) var<storage, read_write> v: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> m: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> failed: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

// Of the block on the diagonal.
var<workgroup> factor: array<f32, SIDE * SIDE>;
var<workgroup> inverse: array<f32, SIDE * SIDE>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let block = params.block;
  let j = group.x;
  if (MULTIPLY && j == block) { return; }
  let quads = SIDE / 4u;
  let line = params.blocks * quads;
  let matrix = group.y * params.blocks * SIDE * line;
  let target_at = matrix + block * SIDE * line + j * quads + lane * BLOCKS_N;

  // The vec4 of the first factor are dealt to the lanes in turn: number lane + LANES · l is line number % 4 of four, of
  // block number / 4.
  let a_line = select(line, quads, MULTIPLY);
  let first = select(select(0u, j * SIDE, j < block), 0u, MULTIPLY);
  let end = select(block * SIDE, SIDE, MULTIPLY);
  // @scalars
  var a_at: array<u32, LOADS_A>;
  // @unroll
  for (var l = 0u; l < LOADS_A; l++) {
    let part = lane + LANES * l;
    a_at[l] = select(matrix + block * quads, group.y * SIDE * quads, MULTIPLY) + part % 4u * a_line + part / 4u;
  }
  let b_at = select(matrix + j * quads + lane * BLOCKS_N, target_at, MULTIPLY);

  // @scalars
  var sum: array<array<vec4f, BLOCKS_N>, SIDE>;
  // @scalars
  var a_part: array<vec4f, LOADS_A>;
  // @scalars
  var values: array<mat4x4f, BLOCKS_N>;
  for (var k = first; k < end; k += 4u) {
    // @unroll
    for (var l = 0u; l < LOADS_A; l++) {
      if (MULTIPLY) {
        a_part[l] = v[a_at[l] + k * a_line];
      } else {
        a_part[l] = m[a_at[l] + k * a_line];
      }
    }
    // @unroll
    for (var n = 0u; n < BLOCKS_N; n++) {
      let at = b_at + k * line + n;
      values[n] = mat4x4f(m[at], m[at + line], m[at + 2u * line], m[at + 3u * line]);
    }
    // @unroll
    for (var p = 0u; p < BLOCKS_M; p++) {
      let c0 = subgroupBroadcast(a_part[4u * p / LANES], 4u * p % LANES);
      let c1 = subgroupBroadcast(a_part[(4u * p + 1u) / LANES], (4u * p + 1u) % LANES);
      let c2 = subgroupBroadcast(a_part[(4u * p + 2u) / LANES], (4u * p + 2u) % LANES);
      let c3 = subgroupBroadcast(a_part[(4u * p + 3u) / LANES], (4u * p + 3u) % LANES);
      // @unroll
      for (var q = 0u; q < 4u; q++) {
        let row = vec4f(c0[q], c1[q], c2[q], c3[q]);
        // @unroll
        for (var n = 0u; n < BLOCKS_N; n++) {
          sum[4u * p + q][n] += values[n] * row;
        }
      }
    }
  }

  // A store is a long text on SwiftShader: a loop over the stores that is not unrolled compiles faster.
  var result: array<array<vec4f, SIDE>, BLOCKS_N>;
  // @unroll
  for (var n = 0u; n < BLOCKS_N; n++) {
    // @unroll
    for (var r = 0u; r < SIDE; r++) {
      result[n][r] = sum[r][n];
    }
  }
  let is_diagonal = !MULTIPLY && j == block;
  for (var n = 0u; n < BLOCKS_N; n++) {
    for (var r = 0u; r < params.side; r++) {
      let at = target_at + r * line + n;
      var value = result[n][r];
      if (!MULTIPLY) { value = select(m[at], vec4f(0.0), j < block) - value; }
      if (is_diagonal) {
        let factor_at = r * SIDE + 4u * (lane * BLOCKS_N + n);
        factor[factor_at] = value.x;
        factor[factor_at + 1u] = value.y;
        factor[factor_at + 2u] = value.z;
        factor[factor_at + 3u] = value.w;
      } else {
        m[at] = value;
      }
    }
  }
  if (MULTIPLY) { return; }
  if (!is_diagonal) { return; }
  workgroupBarrier();

  // A column at a time, its rows dealt to the lanes: each takes the products with the columns before.
  let side = params.side;
  var is_positive = true;
  for (var c = 0u; c < side; c++) {
    for (var r = c + lane; r < side; r += LANES) {
      var value = factor[r * side + c];
      for (var k = 0u; k < c; k++) { value -= factor[r * side + k] * factor[c * side + k]; }
      inverse[r] = value;
    }
    workgroupBarrier();
    let pivot = inverse[c];
    is_positive = is_positive && pivot > 0.0;
    let root = sqrt(select(1.0, pivot, pivot > 0.0));
    for (var r = c + lane; r < side; r += LANES) {
      factor[r * side + c] = select(inverse[r] / root, root, r == c);
    }
    workgroupBarrier();
  }
  if (lane == 0u && !is_positive) { failed[group.y] = 1u; }

  // A column of the inverse a lane, from its diagonal down.
  for (var c = lane; c < side; c += LANES) {
    for (var r = 0u; r < side; r++) {
      var value = select(0.0, 1.0, r == c);
      for (var k = c; k < r; k++) { value -= factor[r * side + k] * inverse[k * side + c]; }
      inverse[r * side + c] = select(value / factor[r * side + r], 0.0, r < c);
    }
  }
  workgroupBarrier();
  for (var e = lane; e < side * quads; e += LANES) {
    let r = e / quads;
    let q = e % quads;
    let row = r * side + 4u * q;
    let column = 4u * q * side + r;
    m[matrix + (block * SIDE + r) * line + block * quads + q] =
      vec4f(inverse[row], inverse[row + 1u], inverse[row + 2u], inverse[row + 3u]);
    v[group.y * SIDE * quads + e] =
      vec4f(inverse[column], inverse[column + side], inverse[column + 2u * side], inverse[column + 3u * side]);
  }
}
