// The norm over all gradients and the factor that clips it.
//   norm = sqrt(Σ partials),  factor = min(1, max_norm / (norm + 1e-6))
// partials: [count]; norm, factor: [1]. One workgroup.

struct Params {
  count: u32,
  max_norm: f32,
}

@group(0) @binding(0) var<storage, read> partials: array<f32>;
@group(0) @binding(1) var<storage, read_write> norm: array<f32>;
@group(0) @binding(2) var<storage, read_write> factor: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

var<workgroup> sums: array<f32, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var i = lane; i < params.count; i += WORKGROUP_SIZE) {
    sum += partials[i];
  }
  sums[lane] = sum;
  workgroupBarrier();
  if (lane > 0u) { return; }
  for (var i = 1u; i < WORKGROUP_SIZE; i++) {
    sum += sums[i];
  }
  let root = sqrt(sum);
  norm[0] = root;
  factor[0] = min(1.0, params.max_norm / (root + 1e-6));
}
