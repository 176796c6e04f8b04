// Images as a task of a stream shows them, gathered by code = task · images + image; each pixel is a sum of `taps` pixels
// of the image (1 for a permutation, 4 for a rotation with bilinear interpolation):
//   x[m, i, p] = Σ_k weights[v, p, k] · images[image, sources[v, p, k]],   v = (m mod views) · tasks + task
// images: [images, pixels], codes: [members, n], u32; sources: [views, tasks, pixels, taps], u32, and weights: its shape,
// where HAS_SOURCES and HAS_WEIGHTS (else the pixel itself, and 1); x: [members, n, pixels]. A code past the last image of
// the last task gives 0.

// @constants
const HAS_SOURCES: bool = false;
const HAS_WEIGHTS: bool = false;
// @end

struct Params {
  count: u32,
  n: u32,
  images: u32,
  pixels: u32,
  views: u32,
  tasks: u32,
  taps: u32,
}

@group(0) @binding(0) var<storage, read> images: array<f32>;
@group(0) @binding(1) var<storage, read> codes: array<u32>;
@group(0) @binding(2) var<storage, read> sources: array<u32>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read_write> x: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let step = groups.x * groups.y * WORKGROUP_SIZE;
  for (var e = id.x + id.y * groups.x * WORKGROUP_SIZE; e < params.count; e += step) {
    let sample = e / params.pixels;
    let pixel = e - sample * params.pixels;
    let code = codes[sample];
    let task = code / params.images;
    let start = (code - task * params.images) * params.pixels;
    var value = 0.0;
    if (task < params.tasks) {
      if (HAS_SOURCES) {
        let view = ((sample / params.n) % params.views) * params.tasks + task;
        let at = (view * params.pixels + pixel) * params.taps;
        for (var k = 0u; k < params.taps; k++) {
          var weight = 1.0;
          if (HAS_WEIGHTS) { weight = weights[at + k]; }
          value += weight * images[start + sources[at + k]];
        }
      } else {
        value = images[start + pixel];
      }
    }
    x[e] = value;
  }
}
