// Block OBS behind a run of blocks: the errors of its columns go to all columns after it.
//   w_rk -= Σ_j e_rj U_jk, first <= j < end <= k
// w: [problems, size, outputs]; u: [problems, size, size]; errors: [problems, room, outputs in whole vec4]. TILE_R rows r of TILE_K
// columns k an invocation.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
const TILE_R: u32 = 8u;
const TILE_K: u32 = 8u;
const BLOCKS_R: u32 = TILE_R / 4u;
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

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let columns = (params.size - params.end + TILE_K - 1u) / TILE_K;
  let rows = (params.outputs + TILE_R - 1u) / TILE_R;
  let row = index % rows * TILE_R;
  let column = params.end + index / rows % columns * TILE_K;
  let problem = index / (rows * columns);
  if (problem >= params.problems) { return; }
  // @scalars
  var sum: array<array<vec4f, BLOCKS_R>, TILE_K>;
  // @scalars
  var error: array<vec4f, BLOCKS_R>;
  // Behind the last row and column what is read is not used.
  let quads = (params.outputs + 3u) / 4u;
  var error_at = (problem * params.room + params.skipped) * quads + row / 4u;
  var u_at = (problem * params.size + params.first) * params.size + column;
  for (var j = params.first; j < params.end; j++) {
    // @unroll
    for (var i = 0u; i < BLOCKS_R; i++) {
      error[i] = errors[error_at + i];
    }
    // @unroll
    for (var c = 0u; c < TILE_K; c++) {
      let factor = u[u_at + c];
      // @unroll
      for (var i = 0u; i < BLOCKS_R; i++) {
        sum[c][i] += error[i] * factor;
      }
    }
    error_at += quads;
    u_at += params.size;
  }
  // A store is a long text on SwiftShader: a loop over the stores that is not unrolled compiles faster.
  var result: array<vec4f, TILE_K * BLOCKS_R>;
  // @unroll
  for (var c = 0u; c < TILE_K; c++) {
    // @unroll
    for (var i = 0u; i < BLOCKS_R; i++) {
      result[c * BLOCKS_R + i] = sum[c][i];
    }
  }
  for (var c = 0u; c < min(TILE_K, params.size - column); c++) {
    let at = (problem * params.size + column + c) * params.outputs + row;
    for (var r = 0u; r < min(TILE_R, params.outputs - row); r++) {
      w[at + r] -= result[c * BLOCKS_R + r / 4u][r % 4u];
    }
  }
}
