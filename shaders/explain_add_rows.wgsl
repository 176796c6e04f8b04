// Adds up what was found at the points of each image.
//   total[slots[s]][j] += sum over k of weights[r] maps[r][j] change[r][j],  r = s copies + k
//   change[r][j] = 1, or with CHANGE x[n][j] - baselines[m][j] (0 without baselines), (n, m, ...) = plan[r]
// maps: [slots copies, size]; weights: [slots copies]; slots: [slots], those past the last image left out;
// x: [images, size]; baselines: [any, size]; total: [images, size]. One element of a slot an invocation.

// @constants
const CHANGE: bool = false;
const HAS_BASELINES: bool = false;
// @end

struct Params {
  count: u32,
  size: u32,
  copies: u32,
  images: u32,
}

@group(0) @binding(0) var<storage, read> maps: array<f32>;
@group(0) @binding(1) var<storage, read> plan: array<vec4u>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> slots: array<u32>;
@group(0) @binding(4) var<storage, read> x: array<f32>;
@group(0) @binding(5) var<storage, read> baselines: array<f32>;
@group(0) @binding(6) var<storage, read_write> total: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let item = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (item >= params.count) { return; }
  let slot = item / params.size;
  let j = item % params.size;
  if (slots[slot] >= params.images) { return; }
  var sum = 0.0;
  for (var k = 0u; k < params.copies; k++) {
    let row = slot * params.copies + k;
    var value = weights[row] * maps[row * params.size + j];
    if (CHANGE) {
      let entry = plan[row];
      var base = 0.0;
      if (HAS_BASELINES) { base = baselines[entry.y * params.size + j]; }
      value *= x[entry.x * params.size + j] - base;
    }
    sum += value;
  }
  total[slots[slot] * params.size + j] += sum;
}
