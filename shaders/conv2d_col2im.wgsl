// The way back from columns to images: each element of the result gathers what every window that covers it holds
// for it, in the order of the taps, so that no two invocations write to one place.
//   y[n][c][H][W] = activate(bias[c] + Σ_i Σ_j columns[(c, i, j)][(n, Y, X)]),
//   Y · stride + i · dilation - padding = H, likewise X and W
// columns: [depth, positions] as conv2d_im2col lays them out; bias: [channels]; y: [images, channels, height, width].

// @constants
const WORKGROUP_SIZE: u32 = 32u;
const HAS_BIAS: bool = false;
const ACTIVATION: u32 = 0u;
// @end

struct Params {
  channels: u32,
  height: u32,
  width: u32,
  rows: u32,
  columns: u32,
  kernel_height: u32,
  kernel_width: u32,
  stride_y: u32,
  stride_x: u32,
  dilation_y: u32,
  dilation_x: u32,
  padding_y: u32,
  padding_x: u32,
  positions: u32,
  slope: f32,
}

@group(0) @binding(0) var<storage, read> columns: array<f32>;
@group(0) @binding(1) var<storage, read> bias: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

fn activate(v: f32) -> f32 {
  if (ACTIVATION == 1u) { return select(v, 0.0, v < 0.0); }
  if (ACTIVATION == 2u) { return select(params.slope * v, v, v > 0.0); }
  return v;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let element = group.x * WORKGROUP_SIZE + local.x;
  if (element >= params.height * params.width) { return; }
  let channel = group.y;
  let image = group.z;
  let taps = params.kernel_height * params.kernel_width;
  let first = channel * taps;
  let plane = params.rows * params.columns;
  let padded_y = element / params.width + params.padding_y;
  let padded_x = element % params.width + params.padding_x;
  var sum = 0.0;
  for (var i = 0u; i < params.kernel_height; i++) {
    // As unsigned numbers, what lies before the first window is past the last one.
    let from_y = padded_y - i * params.dilation_y;
    let row = from_y / params.stride_y;
    if (row >= params.rows || row * params.stride_y != from_y) { continue; }
    for (var j = 0u; j < params.kernel_width; j++) {
      let from_x = padded_x - j * params.dilation_x;
      let column = from_x / params.stride_x;
      if (column >= params.columns || column * params.stride_x != from_x) { continue; }
      let position = image * plane + row * params.columns + column;
      sum += columns[(first + i * params.kernel_width + j) * params.positions + position];
    }
  }
  if (HAS_BIAS) { sum += bias[channel]; }
  y[(image * params.channels + channel) * params.height * params.width + element] = activate(sum);
}
