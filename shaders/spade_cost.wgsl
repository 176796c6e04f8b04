// What a layer's solution costs, by sample and part of the inputs; the host adds up the parts.
//   costs_0 = Σ product · both over the dense weights' columns, tr(W H Wᵀ) where product = H both;  costs_1 = the same over
//   the differences' columns, tr(Δ H Δᵀ);  costs_2 = number of zeros in the mask, 0 without one
// product, both of spade_differences: [samples, lines, 2 · outputs], a line an input of a group; mask: [samples, lines, outputs];
// costs: [samples, parts, 3], WORKGROUP_SIZE lines a part, the last one's as many as are left. One workgroup a part, one
// invocation a line, of which runs of 64 values are added up first, so that long sums lose no more than short ones.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
const HAS_MASK: bool = false;
// @end

struct Params {
  samples: u32,
  lines: u32,
  outputs: u32,
}

@group(0) @binding(0) var<storage, read> product: array<f32>;
@group(0) @binding(1) var<storage, read> both: array<f32>;
@group(0) @binding(2) var<storage, read> mask: array<f32>;
@group(0) @binding(3) var<storage, read_write> costs: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> sums: array<vec3f, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let flat = workgroup.x + workgroup.y * workgroups.x;
  let parts = (params.lines + WORKGROUP_SIZE - 1u) / WORKGROUP_SIZE;
  let sample = flat / parts;
  if (sample >= params.samples) { return; }
  let in_sample = flat % parts * WORKGROUP_SIZE + lane;
  let line = sample * params.lines + in_sample;
  let outputs = params.outputs;
  let dense_at = line * 2u * outputs;
  var total = vec3f(0.0);
  if (in_sample < params.lines) {
    for (var first = 0u; first < outputs; first += 64u) {
      var run = vec3f(0.0);
      for (var output = first; output < min(first + 64u, outputs); output++) {
        let at = dense_at + output;
        run.x += product[at] * both[at];
        run.y += product[at + outputs] * both[at + outputs];
        if (HAS_MASK) { run.z += select(0.0, 1.0, mask[line * outputs + output] == 0.0); }
      }
      total += run;
    }
  }
  sums[lane] = total;
  workgroupBarrier();
  if (lane > 0u) { return; }
  for (var i = 1u; i < WORKGROUP_SIZE; i++) { total += sums[i]; }
  costs[3u * flat] = total.x;
  costs[3u * flat + 1u] = total.y;
  costs[3u * flat + 2u] = total.z;
}
