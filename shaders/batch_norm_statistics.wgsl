// Mean and variance of each channel from those of its segments (Chan, Golub and LeVeque 1979).
//   mean[c] = Σ n_s means[s, c] / n, variance[c] = Σ (deviations[s, c] + n_s (means[s, c] - mean[c])²) / n
//   inv_std[c] = 1 / √(variance[c] + eps)
// means, deviations: [segments, channels]; mean, variance, inv_std: [channels]; n_s = elements of segment s a
// channel, n their sum: see batch_norm_moments.wgsl.

struct Params {
  images: u32,
  channels: u32,
  plane: u32,
  plane_stride: u32,
  step: u32,
  segments: u32,
  portions: u32,
  group_size: u32,
  portion_size: u32,
  eps: f32,
}

@group(0) @binding(0) var<storage, read> means: array<f32>;
@group(0) @binding(1) var<storage, read> deviations: array<f32>;
@group(0) @binding(2) var<storage, read_write> mean: array<f32>;
@group(0) @binding(3) var<storage, read_write> variance: array<f32>;
@group(0) @binding(4) var<storage, read_write> inv_std: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
const BLOCK = 32u;

fn count_of(segment: u32) -> f32 {
  let image = (segment / params.portions) * params.group_size;
  let start = (segment % params.portions) * params.portion_size;
  let images = min(params.group_size, params.images - image);
  return f32(images * min(params.portion_size, params.plane - start));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let channel = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (channel >= params.channels) { return; }
  let count = f32(params.images) * f32(params.plane);

  // Around the first segment's mean, which is near all the others: their differences keep more digits than
  // they do.
  let origin = means[channel];
  var shift = 0.0;
  for (var first = 0u; first < params.segments; first += BLOCK) {
    var part = 0.0;
    for (var s = first; s < min(first + BLOCK, params.segments); s++) {
      part += count_of(s) * (means[s * params.channels + channel] - origin);
    }
    shift += part;
  }
  let center = origin + shift / count;

  var total = 0.0;
  for (var first = 0u; first < params.segments; first += BLOCK) {
    var part = 0.0;
    for (var s = first; s < min(first + BLOCK, params.segments); s++) {
      let at = s * params.channels + channel;
      let d = means[at] - center;
      part += deviations[at] + count_of(s) * d * d;
    }
    total += part;
  }
  let spread = total / count;
  mean[channel] = center;
  variance[channel] = spread;
  inv_std[channel] = 1.0 / sqrt(spread + params.eps);
}
