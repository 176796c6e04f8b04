// Where the largest (or with SMALLEST the smallest) element stands along the middle axis of a tensor seen as
// [outer, length, inner]; of equal ones the first.
//   values[o, s, j], indices[o, s, j] = extremum and place of x[o, i, j] over i = s, s + segments, … < length
// values, indices: [outer, segments, inner]. The place of x[o, i, j] is i · place_step, plus places[o, i, j]
// where an earlier pass has reduced an inner axis (place_step = its length) or the segments of this one
// (place_step = 0).

// @constants
const SMALLEST: bool = false;
const HAS_PLACES: bool = false;
// @end

struct Params {
  count: u32,
  length: u32,
  inner: u32,
  segments: u32,
  place_step: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> places: array<u32>;
@group(0) @binding(2) var<storage, read_write> values: array<f32>;
@group(0) @binding(3) var<storage, read_write> indices: array<u32>;
@group(0) @binding(4) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.count) { return; }
  let segment = (index / params.inner) % params.segments;
  let outer = index / (params.inner * params.segments);
  var at = (outer * params.length + segment) * params.inner + index % params.inner;

  var best = x[at];
  var best_at = at;
  var best_i = segment;
  for (var i = segment; i < params.length; i += params.segments) {
    let v = x[at];
    var better = v > best;
    if (SMALLEST) { better = v < best; }
    // Segments are interleaved, so that a later one may hold the earlier of two equals.
    if (HAS_PLACES) {
      if (v == best) {
        better = i * params.place_step + places[at] < best_i * params.place_step + places[best_at];
      }
    }
    if (better) {
      best = v;
      best_at = at;
      best_i = i;
    }
    at += params.segments * params.inner;
  }
  values[index] = best;
  var place = best_i * params.place_step;
  if (HAS_PLACES) { place += places[best_at]; }
  indices[index] = place;
}
