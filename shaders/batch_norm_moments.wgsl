// Mean and sum of squared deviations of segments of each channel: the first step of batch norm in training.
//   means[s, c] = mean of x over the segment, deviations[s, c] = Σ (x - means[s, c])²
// x: [images, channels, plane] with the elements of a plane `step` apart (a tensor [n, channels] is one image
// with n elements a plane); means, deviations: [segments, channels]. Segment s takes group_size images from
// (s / portions) · group_size, and of their planes portion_size elements from (s % portions) · portion_size.
// The mean is taken off before squaring: E[x²] - E[x]² would lose the variance of data far from 0.

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
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> means: array<f32>;
@group(0) @binding(2) var<storage, read_write> deviations: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
// Terms that each of four running sums takes before they go into the total: the rounding error grows with the
// depth.
const BLOCK = 64u;

// Σ d and Σ d² with d = x - center, over `count` elements from `at`, a step apart.
fn sums_from(at: u32, count: u32, center: f32) -> vec2f {
  var p = vec4f(0.0);
  var q = vec4f(0.0);
  let fours = count / 4u;
  let step = params.step;
  var k = at;
  for (var i = 0u; i < fours; i++) {
    let d = vec4f(x[k], x[k + step], x[k + 2u * step], x[k + 3u * step]) - center;
    k += 4u * step;
    p += d;
    q = fma(d, d, q);
  }
  for (var i = 4u * fours; i < count; i++) {
    let d = x[k] - center;
    k += step;
    p.x += d;
    q.x = fma(d, d, q.x);
  }
  return vec2f((p.x + p.y) + (p.z + p.w), (q.x + q.y) + (q.z + q.w));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.segments * params.channels) { return; }
  let channel = index % params.channels;
  let segment = index / params.channels;
  let first_image = (segment / params.portions) * params.group_size;
  let end_image = min(first_image + params.group_size, params.images);
  let start = (segment % params.portions) * params.portion_size;
  let end = min(start + params.portion_size, params.plane);
  let count = f32((end_image - first_image) * (end - start));

  // Two walks over the segment, the second around the first one's mean; what that mean was off by is taken
  // out after.
  var center = 0.0;
  var sums = vec2f(0.0);
  for (var walk = 0u; walk < 2u; walk++) {
    center += sums.x / count;
    sums = vec2f(0.0);
    for (var image = first_image; image < end_image; image++) {
      let plane_start = (image * params.channels + channel) * params.plane_stride;
      for (var at = start; at < end; at += 4u * BLOCK) {
        sums += sums_from(plane_start + at * params.step, min(4u * BLOCK, end - at), center);
      }
    }
  }
  means[index] = center + sums.x / count;
  deviations[index] = max(sums.y - sums.x * sums.x / count, 0.0);
}
