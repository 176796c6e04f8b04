// How steep images are: the size of Sobel's gradient, of the channel where it is largest.
//   y[n][p] = max over c of sqrt(gx^2 + gy^2),  gx = the columns right less left of p, weighed 1 2 1; gy of rows
// x: [images, channels, height, width], repeated beyond its border;
// y: [images, height, width], count elements.

struct Params {
  count: u32,
  channels: u32,
  height: u32,
  width: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (i >= params.count) { return; }
  let size = params.height * params.width;
  let row = (i % size) / params.width;
  let column = i % params.width;
  let up = max(row, 1u) - 1u;
  let down = min(row + 1u, params.height - 1u);
  let left = max(column, 1u) - 1u;
  let right = min(column + 1u, params.width - 1u);
  var steepest = 0.0;
  for (var channel = 0u; channel < params.channels; channel++) {
    let plane = ((i / size) * params.channels + channel) * size;
    let above = plane + up * params.width;
    let level = plane + row * params.width;
    let below = plane + down * params.width;
    let gx = (x[above + right] - x[above + left]) + 2.0 * (x[level + right] - x[level + left])
      + (x[below + right] - x[below + left]);
    let gy = (x[below + left] - x[above + left]) + 2.0 * (x[below + column] - x[above + column])
      + (x[below + right] - x[above + right]);
    steepest = max(steepest, sqrt(gx * gx + gy * gy));
  }
  y[i] = steepest;
}
