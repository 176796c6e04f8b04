// Adam's direction for a projected gradient attack (D. P. Kingma and J. Ba, 2015), ascending, every element
// for itself.
//   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
//   direction = (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + tiny)
// with g divided by the largest size in the sample, so that neither g^2 nor tiny hides a small gradient.
// gradient, m, v, direction: [n, size]; flags[row] |= 1 if an entry of the gradient is not finite (it counts
// as 0), 2 if all are 0 (or subnormal) in a sample without flag 4, that of success. One workgroup a sample.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
// @end

struct Params {
  count: u32,
  size: u32,
  beta1: f32,
  beta2: f32,
  correction1: f32,
  correction2: f32,
}

@group(0) @binding(0) var<storage, read> gradient: array<f32>;
@group(0) @binding(1) var<storage, read_write> m: array<f32>;
@group(0) @binding(2) var<storage, read_write> v: array<f32>;
@group(0) @binding(3) var<storage, read_write> flags: array<u32>;
@group(0) @binding(4) var<storage, read_write> direction: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

const NON_FINITE = 1u;
const ZERO = 2u;
const SUCCESS = 4u;
const TINY = 1e-8;

var<workgroup> partial: array<f32, WORKGROUP_SIZE>;
var<workgroup> seen: atomic<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= params.count) { return; }
  let first = row * params.size;

  var most = 0.0;
  for (var i = lane; i < params.size; i += WORKGROUP_SIZE) {
    let value = gradient[first + i];
    let exponent = bitcast<u32>(value) & 0x7f800000u;
    if (exponent == 0x7f800000u) {
      atomicOr(&seen, NON_FINITE);
    } else if (exponent != 0u) {
      most = max(most, abs(value));
    }
  }
  partial[lane] = most;
  workgroupBarrier();
  for (var i = 0u; i < WORKGROUP_SIZE; i++) { most = max(most, partial[i]); }
  let unit = select(1.0, most, most > 0.0);

  for (var i = lane; i < params.size; i += WORKGROUP_SIZE) {
    let at = first + i;
    let value = gradient[at];
    let exponent = bitcast<u32>(value) & 0x7f800000u;
    let g = select(value / unit, 0.0, exponent == 0x7f800000u || exponent == 0u);
    let mean = params.beta1 * m[at] + (1.0 - params.beta1) * g;
    let square = params.beta2 * v[at] + (1.0 - params.beta2) * g * g;
    m[at] = mean;
    v[at] = square;
    direction[at] = mean * params.correction1 / (sqrt(square * params.correction2) + TINY);
  }
  if (lane == 0u) {
    let blind = most == 0.0 && (flags[row] & SUCCESS) == 0u;
    flags[row] |= atomicLoad(&seen) | select(0u, ZERO, blind);
  }
}
