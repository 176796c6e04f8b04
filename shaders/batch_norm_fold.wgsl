// Batch norm in evaluation mode, multiplied into the convolution or dense layer before it.
//   scale = gamma / sqrt(running variance + eps);  folded = weight · scale of its output;  shift = beta + (bias - running mean) · scale
// weight, folded: `count` values, whose output is index / inner % outputs; bias, gamma, beta, running_mean, running_variance,
// shift: [outputs]. An invocation has a run of RUN values; where they all belong to one output (ONE_OUTPUT), its scale is
// worked out once.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
const RUN: u32 = 8u;
const ONE_OUTPUT: bool = false;
const HAS_BIAS: bool = false;
// @end

struct Params {
  count: u32,
  inner: u32,
  outputs: u32,
  eps: f32,
}

@group(0) @binding(0) var<storage, read> weight: array<f32>;
@group(0) @binding(1) var<storage, read> bias: array<f32>;
@group(0) @binding(2) var<storage, read> gamma: array<f32>;
@group(0) @binding(3) var<storage, read> beta: array<f32>;
@group(0) @binding(4) var<storage, read> running_mean: array<f32>;
@group(0) @binding(5) var<storage, read> running_variance: array<f32>;
@group(0) @binding(6) var<storage, read_write> folded: array<f32>;
@group(0) @binding(7) var<storage, read_write> shift: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let first = index * RUN;
  if (first < params.count) {
    let output = first / params.inner % params.outputs;
    let scale = scale_of(output);
    // @unroll
    for (var i = 0u; i < RUN; i++) {
      if (ONE_OUTPUT) {
        folded[first + i] = weight[first + i] * scale;
      } else if (first + i < params.count) {
        folded[first + i] = weight[first + i] * scale_of((first + i) / params.inner % params.outputs);
      }
    }
  }
  if (index < params.outputs) {
    var value = -running_mean[index];
    if (HAS_BIAS) { value += bias[index]; }
    shift[index] = beta[index] + value * scale_of(index);
  }
}

fn scale_of(output: u32) -> f32 {
  return gamma[output] / sqrt(running_variance[output] + params.eps);
}
