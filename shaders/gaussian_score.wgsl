// The Mahalanobis score of features that are whitened already, and its gradient.
//   v = whitened[row][0 .. width), the features by the covariance around the class means
//   score = -min_c |v - mean_c|^2,   slopes = -2 (v - mean_c) for the nearest c
//   RELATIVE: score += |w|^2, w = whitened[row][width .. 2 width), the features less their own mean by their
//   whole covariance, and slopes in its place 2 w
// whitened, slopes: [n, width or 2 width]; means: [classes, width], whitened; score: [n]. One invocation a row.

// @constants
const RELATIVE: bool = false;
// @end

struct Params {
  count: u32,
  width: u32,
  classes: u32,
}

@group(0) @binding(0) var<storage, read> whitened: array<f32>;
@group(0) @binding(1) var<storage, read> means: array<f32>;
@group(0) @binding(2) var<storage, read_write> score: array<f32>;
@group(0) @binding(3) var<storage, read_write> slopes: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
// Terms that are summed before they go into the total: the rounding error grows with the depth, not the
// length.
const BLOCK = 16u;

fn distance_to(first: u32, mean: u32) -> f32 {
  var total = 0.0;
  for (var start = 0u; start < params.width; start += BLOCK) {
    var part = 0.0;
    for (var i = start; i < min(start + BLOCK, params.width); i++) {
      let rest = whitened[first + i] - means[mean + i];
      part += rest * rest;
    }
    total += part;
  }
  return total;
}

fn size_of(first: u32) -> f32 {
  var total = 0.0;
  for (var start = 0u; start < params.width; start += BLOCK) {
    var part = 0.0;
    for (var i = start; i < min(start + BLOCK, params.width); i++) {
      part += whitened[first + i] * whitened[first + i];
    }
    total += part;
  }
  return total;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let row = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (row >= params.count) { return; }
  let width = params.width;
  let first = row * select(width, 2u * width, RELATIVE);

  var nearest = 0u;
  var least = distance_to(first, 0u);
  for (var c = 1u; c < params.classes; c++) {
    let distance = distance_to(first, c * width);
    if (distance < least) {
      least = distance;
      nearest = c;
    }
  }
  for (var i = 0u; i < width; i++) {
    slopes[first + i] = -2.0 * (whitened[first + i] - means[nearest * width + i]);
  }
  if (RELATIVE) {
    for (var i = first + width; i < first + 2u * width; i++) { slopes[i] = 2.0 * whitened[i]; }
    score[row] = size_of(first + width) - least;
  } else {
    score[row] = -least;
  }
}
