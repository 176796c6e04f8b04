// Block OBS behind a block: the errors of its columns go to all columns after it.
//   w_rk -= Σ_j e_rj U_jk, j in the block, k >= end
// w: [problems, size, outputs]; u: [problems, size, size]; errors: [problems, block, outputs]. Four columns k of one
// row r an invocation.

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
  let quads = (params.size - params.end + 3u) / 4u;
  let row = index % params.outputs;
  let first = params.end + index / params.outputs % quads * 4u;
  let problem = index / (params.outputs * quads);
  if (problem >= params.problems) { return; }
  let last = params.size - 1u;
  var sum = vec4f(0.0);
  for (var j = 0u; j < params.end - params.first; j++) {
    let error = errors[(problem * params.block + j) * params.outputs + row];
    let line = (problem * params.size + params.first + j) * params.size;
    sum += error * vec4f(
      u[line + first],
      u[line + min(first + 1u, last)],
      u[line + min(first + 2u, last)],
      u[line + min(first + 3u, last)],
    );
  }
  for (var k = 0u; k < min(4u, params.size - first); k++) {
    w[(problem * params.size + first + k) * params.outputs + row] -= sum[k];
  }
}
