// Product with unstructured sparse weights: each invocation makes TILE neighboring rows (pixels) of one output and
// walks that output's stored weights, four a group.
//   y[·, o] = activate(Σ_e values[e] · x[·, inputs_of[e]] + bias[o])
// x: [images, inputs, plane], plane a multiple of 4. y: [images, outputs, plane], or [plane, outputs] with ROWS (then
// one image, whose plane is the rows; only the first `rows` are written). starts[o]: the first group of output o, one
// more than there are outputs. The input gradient is the same product with the transposed weights.

// @constants
const TILE: u32 = 16u;
const GROUP: u32 = 8u;
const ROWS: bool = false;
const HAS_BIAS: bool = false;
const ACTIVATION: u32 = 0u;
const UNROLL: bool = true;
const QUADS: u32 = TILE / 4u;
// @end

struct Params {
  // vec4 of the plane as it is stored in x, and values of it that y has.
  plane: u32,
  rows: u32,
  inputs: u32,
  outputs: u32,
  tiles: u32,
  images: u32,
  slope: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> values: array<vec4f>;
@group(0) @binding(2) var<storage, read> inputs_of: array<vec4u>;
@group(0) @binding(3) var<storage, read> starts: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

fn activate(v: vec4f) -> vec4f {
  if (ACTIVATION == 1u) { return select(v, vec4f(0.0), v < vec4f(0.0)); }
  if (ACTIVATION == 2u) { return select(params.slope * v, v, v > vec4f(0.0)); }
  if (ACTIVATION == 3u) { return tanh(clamp(v, vec4f(-15.0), vec4f(15.0))); }
  if (ACTIVATION == 4u) { return 1.0 / (1.0 + exp(-max(v, vec4f(-80.0)))); }
  return v;
}

@compute @workgroup_size(GROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  // The invocations of a workgroup share an output, so that they walk equally far; workgroups that follow each other
  // share their rows of x, so that these stay in the cache.
  let flat = group.x + group.y * groups.x;
  let output = flat % params.outputs;
  let number = flat / params.outputs * GROUP + local.x;
  let tile = number % params.tiles;
  let image = number / params.tiles;
  if (image >= params.images) { return; }
  let plane = params.plane;
  let start = image * params.inputs * plane;

  // Past the edge the last vec4 repeats.
  // @scalars
  var x_at: array<u32, QUADS>;
  // @unroll
  for (var q = 0u; q < QUADS; q++) {
    x_at[q] = start + min(tile * QUADS + q, plane - 1u);
  }

  // @scalars
  var sum: array<vec4f, QUADS>;
  let end = starts[output + 1u];
  for (var g = starts[output]; g < end; g++) {
    let w = values[g];
    let at = inputs_of[g] * plane;
    // @unroll
    for (var q = 0u; q < QUADS; q++) {
      sum[q] = fma(vec4f(w.x), x[at.x + x_at[q]], sum[q]);
    }
    // @unroll
    for (var q = 0u; q < QUADS; q++) {
      sum[q] = fma(vec4f(w.y), x[at.y + x_at[q]], sum[q]);
    }
    // @unroll
    for (var q = 0u; q < QUADS; q++) {
      sum[q] = fma(vec4f(w.z), x[at.z + x_at[q]], sum[q]);
    }
    // @unroll
    for (var q = 0u; q < QUADS; q++) {
      sum[q] = fma(vec4f(w.w), x[at.w + x_at[q]], sum[q]);
    }
  }

  var offset = 0.0;
  if (HAS_BIAS) { offset = bias[output]; }
  let y_start = select((image * params.outputs + output) * params.rows, output, ROWS);
  let y_step = select(1u, params.outputs, ROWS);
  // @unroll
  for (var q = 0u; q < QUADS; q++) {
    let v = activate(sum[q] + offset);
    // @unroll
    for (var i = 0u; i < 4u; i++) {
      let row = tile * TILE + 4u * q + i;
      if (row < params.rows) { y[y_start + row * y_step] = v[i]; }
    }
  }
}
