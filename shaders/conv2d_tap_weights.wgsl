// The weights of a convolution by tap, as conv2d_quad and conv2d_subgroup_positions load them: a vec4 of outputs for each input.
//   y[g][tap][c][o] = w of group g, input c, output o and the tap; 0 for c >= inputs and o >= outputs
// w: stored [groups · outputs, inputs, taps] (w_input = taps, w_output = inputs · taps), or backward with inputs and
// outputs changed about; y: [groups, taps, 4 · steps, 4 · blocks_o]. One vec4 of y an invocation.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
// @end

struct Params {
  inputs: u32,
  outputs: u32,
  taps: u32,
  w_input: u32,
  w_output: u32,
  steps: u32,
  blocks_o: u32,
  count: u32,
}

@group(0) @binding(0) var<storage, read> w: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.count) { return; }
  let block = index % params.blocks_o;
  let line = index / params.blocks_o;
  let c = line % (4u * params.steps);
  let place = line / (4u * params.steps);
  let first = place / params.taps * params.taps * params.inputs * params.outputs + place % params.taps +
    c * params.w_input;
  var values = vec4f(0.0);
  if (c < params.inputs) {
    // @unroll
    for (var e = 0u; e < 4u; e++) {
      let o = 4u * block + e;
      if (o < params.outputs) { values[e] = w[first + o * params.w_output]; }
    }
  }
  y[index] = values;
}
