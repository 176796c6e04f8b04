// The sum of each block of 64 words; the way up of a prefix sum (block_prefix_sum.wgsl is the way down).
//   sums[b] = Σ x[64 b … 64 b + 63]
// x: [count], count a multiple of 4; sums: [blocks], blocks = ceil(count / 64) filled up with zeros to a
// multiple of 4. One block an invocation.

struct Params {
  count: u32,
  blocks: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> sums: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
const BLOCK = 16u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let block = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let count = params.count / 4u;
  if (block >= params.blocks) { return; }
  var sum = vec4u(0u);
  for (var i = block * BLOCK; i < min((block + 1u) * BLOCK, count); i++) {
    sum += x[i];
  }
  sums[block] = sum.x + sum.y + sum.z + sum.w;
}
