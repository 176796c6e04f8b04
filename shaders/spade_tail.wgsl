// Block OBS behind a block: the errors of its columns go to all columns after it.
//   w_rk -= Σ_j e_rj U_jk, j in the block, k >= end
// w: [problems, size, outputs]; u: [problems, size, size]; errors: [problems, block, outputs]. Four columns k of
// four rows r an invocation.

struct Params {
  problems: u32,
  size: u32,
  outputs: u32,
  first: u32,
  end: u32,
  block: u32,
}

@group(0) @binding(0) var<storage, read> errors: array<f32>;
@group(0) @binding(1) var<storage, read> u: array<f32>;
@group(0) @binding(2) var<storage, read_write> w: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * 64;
  let columns = (params.size - params.end + 3u) / 4u;
  let rows = (params.outputs + 3u) / 4u;
  let row = index % rows * 4u;
  let first = params.end + index / rows % columns * 4u;
  let problem = index / (rows * columns);
  if (problem >= params.problems) { return; }
  // The edges' last row and column stand in for those that are not there.
  let r = min(vec4u(row) + vec4u(0u, 1u, 2u, 3u), vec4u(params.outputs - 1u));
  let k = min(vec4u(first) + vec4u(0u, 1u, 2u, 3u), vec4u(params.size - 1u));
  var sum: mat4x4f;
  for (var j = 0u; j < params.end - params.first; j++) {
    let error_at = (problem * params.block + j) * params.outputs;
    let line = (problem * params.size + params.first + j) * params.size;
    let error = vec4f(errors[error_at + r.x], errors[error_at + r.y], errors[error_at + r.z], errors[error_at + r.w]);
    sum[0] += error * u[line + k.x];
    sum[1] += error * u[line + k.y];
    sum[2] += error * u[line + k.z];
    sum[3] += error * u[line + k.w];
  }
  // @unroll
  for (var c = 0u; c < 4u; c++) {
    if (first + c < params.size) {
      let at = (problem * params.size + first + c) * params.outputs + row;
      // @unroll
      for (var i = 0u; i < 4u; i++) {
        if (row + i < params.outputs) { w[at + i] -= sum[c][i]; }
      }
    }
  }
}
