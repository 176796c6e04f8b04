// Finds values outside 0 to 1, NaN among them.
//   found |= 1 if any x[i] is outside
// x: [n], by their bits: those of 0 to 1 are whole numbers up to 0x3f800000, and -0 is 0x80000000. found:
// [1].

struct Params {
  count: u32,
}

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> found: array<atomic<u32>>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let step = groups.x * groups.y * WORKGROUP_SIZE;
  for (var i = id.x + id.y * groups.x * WORKGROUP_SIZE; i < params.count; i += step) {
    if (x[i] > 0x3f800000u && x[i] != 0x80000000u) { atomicOr(&found[0], 1u); }
  }
}
