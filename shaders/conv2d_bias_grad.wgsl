// Bias gradient of a convolution, in parts: the sum of each channel over a chunk of the positions of all
// images, which conv2d_sum_parts adds up.
//   parts[s, o] = Σ_(n, p) in chunk s  dy[n, o, p]
// dy: [images, channels, plane]; parts: [chunks, channels]. Positions are counted through all images, n ·
// plane + p, and a chunk has `chunk_size` of them, each an invocation.

struct Params {
  images: u32,
  channels: u32,
  plane: u32,
  chunk_size: u32,
  chunks: u32,
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read_write> parts: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let chunk = index / params.channels;
  let channel = index % params.channels;
  if (chunk >= params.chunks) { return; }
  let end = min((chunk + 1u) * params.chunk_size, params.images * params.plane);
  var at = chunk * params.chunk_size;
  var sum = 0.0;
  while (at < end) {
    // The rest of this image's plane, or of the chunk.
    let image = at / params.plane;
    let stop = min(end, (image + 1u) * params.plane);
    let shift = (image * params.channels + channel - image) * params.plane;
    for (; at < stop; at++) { sum += dy[at + shift]; }
  }
  parts[index] = sum;
}
