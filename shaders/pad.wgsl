// A tensor with a margin of one value around it; also the gradient of a slice.
//   y[i] = x[i - before] where that lies in x, else value
// x, y: up to eight axes, 32-bit words; count: elements of y. sizes are those of y, x_sizes those of x, axis
// 0 the inmost; the host joins axes without a margin.

struct Params {
  count: u32,
  axes: u32,
  value: u32,
  sizes_low: vec4u,
  sizes_high: vec4u,
  x_low: vec4u,
  x_high: vec4u,
  before_low: vec4u,
  before_high: vec4u,
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
    var source_at = 0u;
    var stride = 1u;
    var inside = true;
    for (var axis = 0u; axis < params.axes; axis++) {
      let size = pick(params.sizes_low, params.sizes_high, axis);
      let x_size = pick(params.x_low, params.x_high, axis);
      let next = rest / size;
      // Below the margin's end this wraps to a number far above x_size.
      let position = rest - next * size - pick(params.before_low, params.before_high, axis);
      inside = inside && position < x_size;
      source_at += position * stride;
      stride *= x_size;
      rest = next;
    }
    var word = params.value;
    if (inside) { word = x[source_at]; }
    y[i] = word;
  }
}
