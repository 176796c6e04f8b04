// A layer's dense weights and what a solution changes in them, side by side, so that one product with H serves both.
//   both_l = [dense_l | weights_l - dense_l]
// dense, weights: [lines, outputs]; both: [lines, 2 · outputs]. An invocation has four values of a line.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
// @end

struct Params {
  lines: u32,
  outputs: u32,
}

@group(0) @binding(0) var<storage, read> dense: array<f32>;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read_write> both: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let outputs = params.outputs;
  let quads = (outputs + 3u) / 4u;
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let line = index / quads;
  if (line >= params.lines) { return; }
  let first = index % quads * 4u;
  for (var output = first; output < min(first + 4u, outputs); output++) {
    let value = dense[line * outputs + output];
    both[line * 2u * outputs + output] = value;
    both[(line * 2u + 1u) * outputs + output] = weights[line * outputs + output] - value;
  }
}
