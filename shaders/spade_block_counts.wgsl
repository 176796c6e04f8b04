// How many weights of each block of columns a mask removes.
//   counts[s][block] = Σ 1 - mask over the block's columns
// mask: [samples, groups, size, outputs]; counts: [samples, blocks]. One count an invocation.

struct Params {
  samples: u32,
  groups: u32,
  size: u32,
  outputs: u32,
  block_size: u32,
  blocks: u32,
}

@group(0) @binding(0) var<storage, read> mask: array<f32>;
@group(0) @binding(1) var<storage, read_write> counts: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * 64;
  if (index >= params.samples * params.blocks) { return; }
  let sample = index / params.blocks;
  let first = index % params.blocks * params.block_size;
  let end = min(first + params.block_size, params.size);
  var count = 0u;
  for (var group = 0u; group < params.groups; group++) {
    let line = (sample * params.groups + group) * params.size;
    for (var at = (line + first) * params.outputs; at < (line + end) * params.outputs; at++) {
      count += select(0u, 1u, mask[at] == 0.0);
    }
  }
  counts[index] = count;
}
