// Input gradient of batch norm in training, where mean and variance depend on the input.
//   dx = gamma[c] inv_std[c] (dy - dbeta[c] / n - (x - mean[c]) inv_std[c] dgamma[c] / n)
// dy, x, dx: [images, channels, plane], or [images, channels] seen with lines along the images; the others:
// [channels]; n = elements a channel. Lines and chunks are those of batch_norm_apply.wgsl.

// @constants
const CHUNK: u32 = 8u;
// @end

struct Params {
  lines: u32,
  length: u32,
  step: u32,
  line_stride: u32,
  channels: u32,
  chunks: u32,
  lines_first: u32,
  inverse_count: f32,
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> gamma: array<f32>;
@group(0) @binding(3) var<storage, read> mean: array<f32>;
@group(0) @binding(4) var<storage, read> inv_std: array<f32>;
@group(0) @binding(5) var<storage, read> dgamma: array<f32>;
@group(0) @binding(6) var<storage, read> dbeta: array<f32>;
@group(0) @binding(7) var<storage, read_write> dx: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.lines * params.chunks) { return; }
  // Neighboring invocations take what stands side by side: chunks of a line, or lines.
  var line = index / params.chunks;
  var chunk = index % params.chunks;
  if (params.lines_first == 1u) {
    line = index % params.lines;
    chunk = index / params.lines;
  }
  let channel = line % params.channels;
  let center = mean[channel];
  let inverse = inv_std[channel];
  let scale = gamma[channel] * inverse;
  let offset = dbeta[channel] * params.inverse_count;
  let slope = inverse * dgamma[channel] * params.inverse_count;
  let first = chunk * CHUNK;
  let start = line * params.line_stride + first * params.step;
  if (first + CHUNK <= params.length) {
    // @unroll
    for (var i = 0u; i < CHUNK; i++) {
      let at = start + i * params.step;
      dx[at] = scale * (dy[at] - fma(x[at] - center, slope, offset));
    }
  } else {
    for (var i = 0u; i < params.length - first; i++) {
      let at = start + i * params.step;
      dx[at] = scale * (dy[at] - fma(x[at] - center, slope, offset));
    }
  }
}
