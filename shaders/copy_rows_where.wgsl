// Copies the rows that a mask names.
//   target[row] = source[row] where mask[row] != 0;  with slots target[slots[row]], those past the end not
// source: [n, width]; mask, slots: [n]; target: [n or any, width].

// @constants
const HAS_SLOTS: bool = true;
// @end

struct Params {
  count: u32,
  width: u32,
  rows: u32,
}

@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read> mask: array<u32>;
@group(0) @binding(2) var<storage, read> slots: array<u32>;
@group(0) @binding(3) var<storage, read_write> target_rows: array<u32>;
@group(0) @binding(4) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let step = groups.x * groups.y * WORKGROUP_SIZE;
  for (var i = id.x + id.y * groups.x * WORKGROUP_SIZE; i < params.count; i += step) {
    let row = i / params.width;
    if (mask[row] == 0u) { continue; }
    var slot = row;
    if (HAS_SLOTS) { slot = slots[row]; }
    if (slot < params.rows) { target_rows[slot * params.width + i % params.width] = source[i]; }
  }
}
