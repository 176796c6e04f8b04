// Normalizes each channel: batch norm's output, and in evaluation its input gradient.
//   y = activate((x - mean[c]) gamma[c] s[c] + beta[c]), s = spread, or 1 / √(spread + eps) with FROM_VARIANCE
// x, y: [images, channels, plane], or [images, channels] seen with lines along the images; gamma, mean, beta,
// spread: [channels]. Without mean or beta they are 0. An invocation takes CHUNK elements of a line: line l
// has channel l % channels, `length` elements from l · line_stride, `step` apart.

// @constants
const HAS_MEAN: bool = true;
const HAS_BETA: bool = true;
const FROM_VARIANCE: bool = false;
const CHUNK: u32 = 8u;
// 0 none, 1 relu, 2 leaky relu, 3 tanh, 4 sigmoid
const ACTIVATION: u32 = 0u;
// @end

struct Params {
  lines: u32,
  length: u32,
  step: u32,
  line_stride: u32,
  channels: u32,
  chunks: u32,
  lines_first: u32,
  eps: f32,
  slope: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> gamma: array<f32>;
@group(0) @binding(2) var<storage, read> spread: array<f32>;
@group(0) @binding(3) var<storage, read> mean: array<f32>;
@group(0) @binding(4) var<storage, read> beta: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

// tanh, accurate near 0 as WGSL's own is not: an odd polynomial below 0.65, else 1 - 2 / (e^2|v| + 1).
fn hyperbolic_tangent(v: f32) -> f32 {
  let size = min(abs(v), 15.0);
  let z = size * size;
  var p = fma(z, -0.005515161902, 0.02046941780);
  p = fma(p, z, -0.05368802324);
  p = fma(p, z, 0.1333083063);
  p = fma(p, z, -0.3333325983);
  let near = fma(size * z, p, size);
  let far = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
  let result = select(far, near, size < 0.65);
  return select(result, -result, v < 0.0);
}

fn activate(v: f32) -> f32 {
  if (ACTIVATION == 1u) { return select(v, 0.0, v < 0.0); }
  if (ACTIVATION == 2u) { return select(params.slope * v, v, v > 0.0); }
  if (ACTIVATION == 3u) { return hyperbolic_tangent(v); }
  if (ACTIVATION == 4u) { return 1.0 / (1.0 + exp(-max(v, -80.0))); }
  return v;
}

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
  var scale = spread[channel];
  if (FROM_VARIANCE) { scale = 1.0 / sqrt(scale + params.eps); }
  scale *= gamma[channel];
  var center = 0.0;
  var offset = 0.0;
  if (HAS_MEAN) { center = mean[channel]; }
  if (HAS_BETA) { offset = beta[channel]; }
  let first = chunk * CHUNK;
  let start = line * params.line_stride + first * params.step;
  if (first + CHUNK <= params.length) {
    // @unroll
    for (var i = 0u; i < CHUNK; i++) {
      let at = start + i * params.step;
      y[at] = activate(fma(x[at] - center, scale, offset));
    }
  } else {
    for (var i = 0u; i < params.length - first; i++) {
      let at = start + i * params.step;
      y[at] = activate(fma(x[at] - center, scale, offset));
    }
  }
}
