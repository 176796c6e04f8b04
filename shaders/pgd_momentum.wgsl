// MI-FGSM's momentum: gradients of one size, added up (Y. Dong et al., "Boosting adversarial attacks with
// momentum", CVPR 2018).
//   moment = decay moment + g / |g|_1
// gradient, moment: [n, size]; flags[row] |= 1 if an entry of the gradient is not finite (it counts as 0), 2
// if all are 0 (or subnormal) in a sample without flag 4, that of success. One workgroup a sample.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
// @end

struct Params {
  count: u32,
  size: u32,
  decay: f32,
}

@group(0) @binding(0) var<storage, read> gradient: array<f32>;
@group(0) @binding(1) var<storage, read_write> moment: array<f32>;
@group(0) @binding(2) var<storage, read_write> flags: array<u32>;
@group(0) @binding(3) var<uniform> params: Params;

const NON_FINITE = 1u;
const ZERO = 2u;
const SUCCESS = 4u;

var<workgroup> largest: array<f32, WORKGROUP_SIZE>;
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

  // The largest size, by which all are divided first so that no sum overflows or vanishes, and the sum of
  // sizes.
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
  largest[lane] = most;
  workgroupBarrier();
  for (var i = 0u; i < WORKGROUP_SIZE; i++) { most = max(most, largest[i]); }
  let unit = select(1.0, most, most > 0.0);

  var sum = 0.0;
  for (var i = lane; i < params.size; i += WORKGROUP_SIZE) { sum += abs(ratio(first + i, unit)); }
  partial[lane] = sum;
  workgroupBarrier();
  sum = 0.0;
  for (var i = 0u; i < WORKGROUP_SIZE; i++) { sum += partial[i]; }

  let norm = max(sum, 1.0);
  for (var i = lane; i < params.size; i += WORKGROUP_SIZE) {
    moment[first + i] = params.decay * moment[first + i] + ratio(first + i, unit) / norm;
  }
  if (lane == 0u) {
    let blind = most == 0.0 && (flags[row] & SUCCESS) == 0u;
    flags[row] |= atomicLoad(&seen) | select(0u, ZERO, blind);
  }
}

fn ratio(at: u32, unit: f32) -> f32 {
  let value = gradient[at];
  let exponent = bitcast<u32>(value) & 0x7f800000u;
  return select(value / unit, 0.0, exponent == 0x7f800000u || exponent == 0u);
}
