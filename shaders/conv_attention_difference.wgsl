// The payment that a position of a channel would see if its channel measured its own attention, as in
// attention_difference.wgsl: the receivers' filters w[·, c, ·, ·] shift along what this position contributes to their
// updates, D[o, i, j] = g[s, o, (y, x) under tap (i, j)], and the attention that channel c holds changes.
//   q[s, c, y, x] = (A_c(w + t D) - A_c(w - t D)) / (2 t),   A_c(w) = ½ Σ w[o, c, i, j]²,   t = ‖w[·, c]‖ / ‖D‖
// w: [receivers, channels, kh, kw], g: [samples, receivers, rows, columns], q: [samples, channels, height, width].
// A measurement, not a fast path: no product w · g is formed anywhere.

struct Params {
  count: u32,
  receivers: u32,
  channels: u32,
  kernel_height: u32,
  kernel_width: u32,
  rows: u32,
  columns: u32,
  height: u32,
  width: u32,
  stride_y: u32,
  stride_x: u32,
  dilation_y: u32,
  dilation_x: u32,
  top: u32,
  left: u32,
}

@group(0) @binding(0) var<storage, read> w: array<f32>;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read_write> q: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

// D for one receiver and tap: 0 where no output stands under it.
fn shift_of(start: u32, y: u32, x: u32, tap: u32) -> f32 {
  let i = (tap / params.kernel_width) * params.dilation_y;
  let j = (tap % params.kernel_width) * params.dilation_x;
  if (y + params.top < i || x + params.left < j) { return 0.0; }
  let down = y + params.top - i;
  let right = x + params.left - j;
  if (down % params.stride_y != 0u || right % params.stride_x != 0u) { return 0.0; }
  let row = down / params.stride_y;
  let column = right / params.stride_x;
  if (row >= params.rows || column >= params.columns) { return 0.0; }
  return g[start + row * params.columns + column];
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.count) { return; }
  let x = index % params.width;
  let y = (index / params.width) % params.height;
  let channel = (index / (params.width * params.height)) % params.channels;
  let sample = index / (params.width * params.height * params.channels);
  let taps = params.kernel_height * params.kernel_width;
  let plane = params.rows * params.columns;

  var w_square = 0.0;
  var shift_square = 0.0;
  for (var o = 0u; o < params.receivers; o++) {
    for (var tap = 0u; tap < taps; tap++) {
      let weight = w[(o * params.channels + channel) * taps + tap];
      let shift = shift_of((sample * params.receivers + o) * plane, y, x, tap);
      w_square = fma(weight, weight, w_square);
      shift_square = fma(shift, shift, shift_square);
    }
  }
  // A channel without weights, or one whose receivers ask for nothing, sees no growth.
  if (w_square == 0.0 || shift_square == 0.0) {
    q[index] = 0.0;
    return;
  }
  let t = sqrt(w_square) / sqrt(shift_square);

  var grown = 0.0;
  var shrunk = 0.0;
  for (var o = 0u; o < params.receivers; o++) {
    for (var tap = 0u; tap < taps; tap++) {
      let weight = w[(o * params.channels + channel) * taps + tap];
      let shift = t * shift_of((sample * params.receivers + o) * plane, y, x, tap);
      grown = fma(weight + shift, weight + shift, grown);
      shrunk = fma(weight - shift, weight - shift, shrunk);
    }
  }
  q[index] = (0.5 * grown - 0.5 * shrunk) / (2.0 * t);
}
