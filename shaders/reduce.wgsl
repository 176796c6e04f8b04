// Sums, extrema and what is made of them, along the middle axis of a tensor seen as [outer, length, inner].
//   y[o, s, j] = finish(join over i = s, s + segments, s + 2 segments, … below length of prepare(x[o, i, j]))
// y: [outer, segments, inner]; a second pass over y with one segment joins the segments. PREPARE is 0
// nothing, 1 absolute, 2 square; JOIN is 0 sum, 1 maximum, 2 minimum; finish is a square root (ROOT) or a
// factor, for the last pass. length = 0 sums to 0. Sums are added up in blocks, and the blocks' sums after
// that: the rounding error then grows with the depth of this tree and not with the number of terms. The order
// depends on length alone.

// @constants
const PREPARE: u32 = 0u;
const JOIN: u32 = 0u;
const ROOT: bool = false;
// @end

struct Params {
  count: u32,
  length: u32,
  inner: u32,
  segments: u32,
  factor: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
// Terms that each of four running sums takes before they go into the total.
const BLOCK = 16u;

fn prepare(v: f32) -> f32 {
  if (PREPARE == 1u) { return abs(v); }
  if (PREPARE == 2u) { return v * v; }
  return v;
}

fn join(p: f32, q: f32) -> f32 {
  if (JOIN == 1u) { return max(p, q); }
  if (JOIN == 2u) { return min(p, q); }
  return p + q;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.count) { return; }
  let segment = (index / params.inner) % params.segments;
  let outer = index / (params.inner * params.segments);
  let step = params.segments * params.inner;
  var at = (outer * params.length + segment) * params.inner + index % params.inner;
  let terms = (params.length + params.segments - 1u - segment) / params.segments;

  // What changes nothing: 0 in a sum, any of the terms in an extremum.
  var nothing = 0.0;
  if (JOIN != 0u) { nothing = prepare(x[at]); }
  var total = nothing;
  for (var left = terms / 4u; left > 0u; ) {
    let block = min(left, BLOCK);
    left -= block;
    var p = vec4f(nothing);
    for (var i = 0u; i < block; i++) {
      p.x = join(p.x, prepare(x[at]));
      p.y = join(p.y, prepare(x[at + step]));
      p.z = join(p.z, prepare(x[at + 2u * step]));
      p.w = join(p.w, prepare(x[at + 3u * step]));
      at += 4u * step;
    }
    total = join(total, join(join(p.x, p.y), join(p.z, p.w)));
  }
  for (var i = terms % 4u; i > 0u; i--) {
    total = join(total, prepare(x[at]));
    at += step;
  }
  if (ROOT) {
    y[index] = sqrt(total);
  } else {
    y[index] = total * params.factor;
  }
}
