// Copies a box of a tensor to a box of another, walking its axes in any order: transpose, slice and concat.
//   y[y_start + Σ_a i_a y_strides_a] = x[x_start + Σ_a i_a x_strides_a]  for all 0 <= i_a < sizes_a
// x, y: 32-bit words; count = Π sizes_a over `axes` axes, up to eight, axis 0 the inmost. The host joins axes that
// lie behind each other in both tensors.

struct Params {
  count: u32,
  axes: u32,
  x_start: u32,
  y_start: u32,
  sizes_low: vec4u,
  sizes_high: vec4u,
  x_low: vec4u,
  x_high: vec4u,
  y_low: vec4u,
  y_high: vec4u,
}

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

fn pick(low: vec4u, high: vec4u, axis: u32) -> u32 {
  if (axis < 4u) { return low[axis]; }
  return high[axis - 4u];
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let step = groups.x * groups.y * WORKGROUP_SIZE;
  for (var i = id.x + id.y * groups.x * WORKGROUP_SIZE; i < params.count; i += step) {
    var rest = i;
    var source_at = params.x_start;
    var target_at = params.y_start;
    for (var axis = 0u; axis < params.axes; axis++) {
      let size = pick(params.sizes_low, params.sizes_high, axis);
      let next = rest / size;
      let position = rest - next * size;
      source_at += position * pick(params.x_low, params.x_high, axis);
      target_at += position * pick(params.y_low, params.y_high, axis);
      rest = next;
    }
    y[target_at] = x[source_at];
  }
}
