// Sums of segments of each channel from which batch norm's gradients are made.
//   dbetas[s, c] = Σ dy, dgammas[s, c] = Σ dy (x - mean[c]) r[c] over the segment,
//   r = spread, or 1 / √(spread + eps) with FROM_VARIANCE
// dy, x: [images, channels, plane]; mean, spread: [channels]; dgammas, dbetas: [segments, channels]. Planes,
// steps and segments are those of batch_norm_moments.wgsl.

// @constants
const FROM_VARIANCE: bool = false;
// @end

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

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> mean: array<f32>;
@group(0) @binding(3) var<storage, read> spread: array<f32>;
@group(0) @binding(4) var<storage, read_write> dgammas: array<f32>;
@group(0) @binding(5) var<storage, read_write> dbetas: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
// Terms that are summed before they go into the total: the rounding error grows with the depth, not the
// length.
const BLOCK = 32u;

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
  let center = mean[channel];
  var inverse = spread[channel];
  if (FROM_VARIANCE) { inverse = 1.0 / sqrt(inverse + params.eps); }

  var dgamma = 0.0;
  var dbeta = 0.0;
  for (var image = first_image; image < end_image; image++) {
    let plane_start = (image * params.channels + channel) * params.plane_stride;
    for (var block = start; block < end; block += BLOCK) {
      var part_dgamma = 0.0;
      var part_dbeta = 0.0;
      for (var i = block; i < min(block + BLOCK, end); i++) {
        let at = plane_start + i * params.step;
        let d = dy[at];
        part_dbeta += d;
        part_dgamma = fma(d, x[at] - center, part_dgamma);
      }
      dgamma += part_dgamma;
      dbeta += part_dbeta;
    }
  }
  dgammas[index] = dgamma * inverse;
  dbetas[index] = dbeta;
}
