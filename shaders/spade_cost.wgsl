// What a layer's solution costs, by sample.
//   costs_0 = Σ product · difference, tr(Δ H Δᵀ) where product = H Δᵀ;  costs_1 = number of zeros in the mask, 0 without one
// product, difference, mask: [samples, count]; costs: [2, samples]. One workgroup a sample: each invocation adds up runs of
// 64 values first, then the runs, so that long sums lose no more than short ones.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
const HAS_MASK: bool = false;
// @end

struct Params {
  samples: u32,
  count: u32,
}

@group(0) @binding(0) var<storage, read> product: array<f32>;
@group(0) @binding(1) var<storage, read> difference: array<f32>;
@group(0) @binding(2) var<storage, read> mask: array<f32>;
@group(0) @binding(3) var<storage, read_write> costs: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> sums: array<vec2f, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let sample = workgroup.x + workgroup.y * workgroups.x;
  if (sample >= params.samples) { return; }
  let start = sample * params.count;
  let end = start + params.count;
  var total = vec2f(0.0);
  for (var first = start + lane; first < end; first += 64u * WORKGROUP_SIZE) {
    var run = vec2f(0.0, 0.0);
    for (var at = first; at < min(first + 64u * WORKGROUP_SIZE, end); at += WORKGROUP_SIZE) {
      run.x += product[at] * difference[at];
      if (HAS_MASK) { run.y += select(0.0, 1.0, mask[at] == 0.0); }
    }
    total += run;
  }
  sums[lane] = total;
  workgroupBarrier();
  if (lane > 0u) { return; }
  for (var i = 1u; i < WORKGROUP_SIZE; i++) { total += sums[i]; }
  costs[sample] = total.x;
  costs[params.samples + sample] = total.y;
}
