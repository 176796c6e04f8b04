// A row of blocks in block Cholesky with the inverse beside it. Above row b, m holds the rows of Lᵀ right of the diagonal,
// and those of L⁻¹ from the diagonal to the left; from row b on, what is still to be factored. For all blocks j of row b:
//   sums:      m_bj = m_bj - Σ_k m_kbᵀ m_kj, k < b, for j >= b;  m_bj = -Σ_k m_kbᵀ m_kj, j <= k < b, for j < b
//              and of the block on the diagonal then L Lᵀ = m_bb,  m_bb = W = L⁻¹, lower triangular
//   MULTIPLY:  m_bj = W m_bj, j ≠ b
// m: the problems' [width, width] one behind the other, each as wide as it is; places: [problems], where in m a problem begins,
// in vec4, and its width in blocks; v, Wᵀ: [problems, SIDE, SIDE]; failed: u32 [problems], 1 where a pivot was not positive.
// One workgroup is LANES lanes and computes a block: they share its rows and have neighboring columns; each value of the first
// factor is loaded by one lane and broadcast. Workgroups take the blocks of all problems in an order that deals out long and
// short ones evenly. For software adapters, where a load is computed lane by lane, and a barrier costs many loads.
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
  // Of SIDE columns, the row.
  block: u32,
  // Blocks in a row of all problems, and from one to the next in the order in which they are taken.
  blocks: u32,
  stride: u32,
  // SIDE, which the compiler is not to know: it would unroll the loops.
  side: u32,
}

@group(0) @binding(0) var<storage, read_write> v: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> m: array<vec4f>;
@group(0) @binding(2) var<storage, read> places: array<vec2u>;
@group(0) @binding(3) var<storage, read_write> failed: array<u32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let flat = group.x + group.y * groups.x;
  if (flat >= params.blocks) { return; }
  var j = flat * params.stride % params.blocks;
  var problem = 0u;
  while (j >= places[problem].y && problem + 1u < arrayLength(&places)) {
    j -= places[problem].y;
    problem++;
  }
  let block = params.block;
  let place = places[problem];
  // Above the first row there is nothing to sum up.
  let is_idle = select(block == 0u && j > 0u, j == block, MULTIPLY);
  if (block >= place.y || is_idle) { return; }
  let quads = SIDE / 4u;
  let line = place.y * quads;
  let matrix = place.x;
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
    a_at[l] = select(matrix + block * quads, problem * SIDE * quads, MULTIPLY) + part % 4u * a_line + part / 4u;
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

  // A store is a long text, and so is a load: loops over them that are not unrolled compile faster.
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
        result[n][r] = value;
      } else {
        m[at] = value;
      }
    }
  }
  if (!is_diagonal) { return; }

  // The block on the diagonal and the identity beside it, in registers: each column that is eliminated makes one of L, and
  // what it does to the identity makes L⁻¹, whose row it ends with. The rows that are left move up by one, so that none
  // has an index that is not constant though columns are taken in a loop: unrolled they would compile for seconds.
  // @scalars
  var rest: array<array<vec4f, BLOCKS_N>, SIDE>;
  // @scalars
  var inverse: array<array<vec4f, BLOCKS_N>, SIDE>;
  // @unroll
  for (var r = 0u; r < SIDE; r++) {
    // @unroll
    for (var n = 0u; n < BLOCKS_N; n++) {
      rest[r][n] = result[n][r];
      let column = 4u * (lane * BLOCKS_N + n);
      inverse[r][n] = select(vec4f(0.0), vec4f(1.0), vec4u(column, column + 1u, column + 2u, column + 3u) == vec4u(r));
    }
  }
  var is_positive = true;
  for (var c = 0u; c < params.side; c++) {
    // Where the column is: a lane, a vec4 of it, and what takes it out of that.
    let owner = c / TILE_N;
    let part = c % TILE_N / 4u;
    let unit = select(vec4f(0.0), vec4f(1.0), vec4u(0u, 1u, 2u, 3u) == vec4u(c % 4u));
    // @scalars
    var column: array<f32, SIDE>;
    // @unroll
    for (var r = 0u; r < SIDE; r++) {
      var own = rest[r][0];
      // @unroll
      for (var n = 1u; n < BLOCKS_N; n++) {
        own = select(own, rest[r][n], part == n);
      }
      column[r] = subgroupShuffle(dot(own, unit), owner);
    }
    let pivot = column[0];
    is_positive = is_positive && pivot > 0.0;
    let scale = inverseSqrt(select(1.0, pivot, pivot > 0.0));
    // @unroll
    for (var n = 0u; n < BLOCKS_N; n++) {
      let eliminated = rest[0][n] * scale;
      let done = inverse[0][n] * scale;
      // @unroll
      for (var r = 1u; r < SIDE; r++) {
        let factor = column[r] * scale;
        rest[r - 1u][n] = rest[r][n] - factor * eliminated;
        inverse[r - 1u][n] = inverse[r][n] - factor * done;
      }
      // Behind the last row that is left what is computed is not used.
      rest[SIDE - 1u][n] = vec4f(0.0);
      let at = lane * BLOCKS_N + n;
      m[target_at + c * line + n] = done;
      // @unroll
      for (var k = 0u; k < 4u; k++) {
        v[(problem * SIDE + 4u * at + k) * quads + c / 4u][c % 4u] = done[k];
      }
    }
  }
  if (lane == 0u && !is_positive) { failed[problem] = 1u; }
}
