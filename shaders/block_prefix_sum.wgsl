// The exclusive prefix sum of each block of 64 words, in place; the way down of a prefix sum.
//   x[64 b + i] = starts[b] + Σ_{j < i} x[64 b + j]
// x: [count], count a multiple of 4; starts: the exclusive prefix sums of the blocks' sums, absent for a
// single block. One block an invocation.

struct Params {
  count: u32,
  has_starts: u32,
}

@group(0) @binding(0) var<storage, read> starts: array<u32>;
@group(0) @binding(1) var<storage, read_write> x: array<vec4u>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
const BLOCK = 16u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let block = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let count = params.count / 4u;
  if (block >= (count + BLOCK - 1u) / BLOCK) { return; }
  var before = 0u;
  if (params.has_starts == 1u) { before = starts[block]; }
  for (var i = block * BLOCK; i < min((block + 1u) * BLOCK, count); i++) {
    let v = x[i];
    let y = before + v.x;
    let z = y + v.y;
    let w = z + v.z;
    x[i] = vec4u(before, y, z, w);
    before = w + v.w;
  }
}
