// Images of which segments are replaced by a baseline.
//   y[b][c][p] = k x[n][c][p] + (1 - k) baselines[m][c][p],  k = keep[b][segments[p]], n = images[b],
//   m = n, or 0 with one baseline for all
// x: [images, channels, size]; baselines: [any, channels, size]; images: [rows]; keep: [rows, segment_count];
// segments: [size]; y: [rows, channels, size]; count: elements of y.

struct Params {
  count: u32,
  size: u32,
  image_size: u32,
  segment_count: u32,
  baselines: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> baselines: array<f32>;
@group(0) @binding(2) var<storage, read> images: array<u32>;
@group(0) @binding(3) var<storage, read> keep: array<f32>;
@group(0) @binding(4) var<storage, read> segments: array<u32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let step = groups.x * groups.y * WORKGROUP_SIZE;
  for (var i = id.x + id.y * groups.x * WORKGROUP_SIZE; i < params.count; i += step) {
    let row = i / params.image_size;
    let j = i % params.image_size;
    let image = images[row];
    let base = select(0u, image, params.baselines > 1u) * params.image_size + j;
    let k = keep[row * params.segment_count + segments[j % params.size]];
    y[i] = k * x[image * params.image_size + j] + (1.0 - k) * baselines[base];
  }
}
