// Block OBS inside of a block: columns from left to right; the error of a removed weight, w / U_jj, goes to the columns
// of the block after it, and is kept for those behind the block.
//   e_rj = w_rj / U_jj if removed, else 0;  w_rk -= e_rj U_jk for k > j;  w_rj = 0 if removed
// w, mask: [problems, size, outputs]; u: [problems, size, size], upper; errors: [problems, block, outputs]. One row r
// of the layer's matrix an invocation.

struct Params {
  problems: u32,
  size: u32,
  outputs: u32,
  first: u32,
  end: u32,
  block: u32,
}

@group(0) @binding(0) var<storage, read> mask: array<f32>;
@group(0) @binding(1) var<storage, read> u: array<f32>;
@group(0) @binding(2) var<storage, read_write> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> errors: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * 64;
  let row = index % params.outputs;
  let problem = index / params.outputs;
  if (problem >= params.problems) { return; }
  let columns = problem * params.size;
  for (var j = params.first; j < params.end; j++) {
    let at = (columns + j) * params.outputs + row;
    var error = 0.0;
    if (mask[at] == 0.0) {
      let line = (columns + j) * params.size;
      error = w[at] / u[line + j];
      w[at] = 0.0;
      for (var k = j + 1u; k < params.end; k++) {
        w[(columns + k) * params.outputs + row] -= error * u[line + k];
      }
    }
    errors[(problem * params.block + j - params.first) * params.outputs + row] = error;
  }
}
