// The gradient of a bilinear resize along one axis; a resize of images is one down and one across.
//   dx[o][k][i] = Σ_p ((1 - share(p)) [low(p) = k] + share(p) [high(p) = k]) dy[o][p][i]
// with low, high and share as in resize_bilinear.wgsl. dy: [outer, y_size, inner], dx: [outer, size, inner];
// count: elements of dx. Each element of dx looks at the few p that can reach it, so there are no atomics.

struct Params {
  count: u32,
  size: u32,
  y_size: u32,
  inner: u32,
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

// The share of pixel k in the pixel p of the resized axis.
fn weight_of(k: u32, p: u32) -> f32 {
  let numerator = max((2u * p + 1u) * params.size, params.y_size) - params.y_size;
  let low = numerator / (2u * params.y_size);
  let high = min(low + 1u, params.size - 1u);
  let share = f32(numerator - low * 2u * params.y_size) / f32(2u * params.y_size);
  return select(0.0, 1.0 - share, low == k) + select(0.0, share, high == k);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let step = groups.x * groups.y * WORKGROUP_SIZE;
  for (var at = id.x + id.y * groups.x * WORKGROUP_SIZE; at < params.count; at += step) {
    let line = at / params.inner;
    let outer = line / params.size;
    let k = line - outer * params.size;
    // Pixels at a distance of less than 1: from (k - 1/2) y_size / size - 1/2 on, before (k + 3/2) y_size /
    // size - 1/2.
    let first = max(params.y_size * (max(2u * k, 1u) - 1u) / (2u * params.size), 1u) - 1u;
    let last = min(params.y_size * (2u * k + 3u) / (2u * params.size), params.y_size - 1u);
    var source_at = (outer * params.y_size + first) * params.inner + at - line * params.inner;
    var sum = 0.0;
    for (var p = first; p <= last; p++) {
      sum += weight_of(k, p) * dy[source_at];
      source_at += params.inner;
    }
    dx[at] = sum;
  }
}
