// Weight gradient of a product with unstructured sparse weights, at the stored positions only: each invocation makes
// the GROUPS · 4 weights of neighboring groups, which need not be of one output.
//   dvalues[e] = Σ x[·, inputs_of[e]] · dy[·, output_of[e]]
// x: [images, inputs, plane], dy: [images, outputs, plane], plane a multiple of 4 and zero past the edge.
// dvalues: [groups] of four weights of one output in rising order of their inputs; a group that is not full repeats
// its last input, and gets gradient 0 there. outputs_of: [groups].

// @constants
const GROUP: u32 = 8u;
// @end

struct Params {
  // vec4 of the plane.
  plane: u32,
  inputs: u32,
  outputs: u32,
  images: u32,
  count: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read> inputs_of: array<vec4u>;
@group(0) @binding(3) var<storage, read> outputs_of: array<u32>;
@group(0) @binding(4) var<storage, read_write> dvalues: array<vec4f>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(GROUP)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * GROUP;
  if (index >= params.count) { return; }
  let plane = params.plane;
  let inputs = inputs_of[index];
  let output = outputs_of[index];
  var a = vec4f(0.0);
  var b = vec4f(0.0);
  var c = vec4f(0.0);
  var e = vec4f(0.0);
  for (var image = 0u; image < params.images; image++) {
    let at = (image * params.inputs + inputs) * plane;
    let dy_at = (image * params.outputs + output) * plane;
    for (var p = 0u; p < plane; p++) {
      let d = dy[dy_at + p];
      a = fma(x[at.x + p], d, a);
      b = fma(x[at.y + p], d, b);
      c = fma(x[at.z + p], d, c);
      e = fma(x[at.w + p], d, e);
    }
  }
  let one = vec4f(1.0);
  let sums = vec4f(dot(a, one), dot(b, one), dot(c, one), dot(e, one));
  // The first of a group is always a stored weight; one that repeats its neighbor's input is padding.
  let stored = vec4<bool>(true, inputs.y != inputs.x, inputs.z != inputs.y, inputs.w != inputs.z);
  dvalues[index] = select(vec4f(0.0), sums, stored);
}
