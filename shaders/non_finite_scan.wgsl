// Debug mode: finds NaN and infinity in the result of an op.
//   found = serial if any x[i] is not finite and nothing was found before
// x: [n], found: [1], u32. A float is not finite when all its exponent bits are set; comparing x with itself
// would not do, since WGSL lets implementations assume that there is no NaN.

struct Params {
  count: u32,
  serial: u32,
}

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> found: array<atomic<u32>>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
const EXPONENT = 0x7f800000u;
const NOTHING = 0xffffffffu;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index < params.count && (x[index] & EXPONENT) == EXPONENT && atomicLoad(&found[0]) == NOTHING) {
    atomicStore(&found[0], params.serial); // all invocations of a dispatch store the same
  }
}
