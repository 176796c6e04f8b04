// Softmax, or its logarithm, along the middle axis of a tensor seen as [lines / inner, length, inner].
//   y[o, i, j] = e^(x[o, i, j] - m) / z, or x[o, i, j] - m - log z with LOG
//   m = max over i of x[o, i, j], z = Σ over i of e^(x[o, i, j] - m)
// x, y: one shape. One invocation a line: for lines of moderate length.

// @constants
const LOG: bool = false;
// @end

struct Params {
  lines: u32,
  length: u32,
  inner: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
// Terms that are summed before they go into the total: the rounding error grows with the depth, not the
// length.
const BLOCK = 32u;

// log(1 + v) for v >= 0: near 0 by 2 artanh(s), s = v / (2 + v), since WGSL's log may be far off near 1.
fn log_of_one_plus(v: f32) -> f32 {
  if (v > 0.5) { return log(1.0 + v); }
  let s = v / (2.0 + v);
  let z = s * s;
  return 2.0 * s * (1.0 + z * (1.0 / 3.0 + z * (1.0 / 5.0 + z * (1.0 / 7.0 + z * (1.0 / 9.0)))));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let line = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (line >= params.lines) { return; }
  let step = params.inner;
  let start = (line / step) * params.length * step + line % step;

  var largest = x[start];
  var peak = 0u;
  for (var i = 1u; i < params.length; i++) {
    let v = x[start + i * step];
    if (v > largest) {
      largest = v;
      peak = i;
    }
  }

  // The largest term is 1 and is left out, so that log z keeps its digits where the others are small.
  var rest = 0.0;
  for (var first = 0u; first < params.length; first += BLOCK) {
    var part = 0.0;
    for (var i = first; i < min(first + BLOCK, params.length); i++) {
      part += select(exp(x[start + i * step] - largest), 0.0, i == peak);
    }
    rest += part;
  }

  let log_z = log_of_one_plus(rest);
  let scale = 1.0 / (1.0 + rest);
  for (var i = 0u; i < params.length; i++) {
    let at = start + i * step;
    let v = x[at] - largest;
    if (LOG) {
      y[at] = v - log_z;
    } else {
      y[at] = exp(v) * scale;
    }
  }
}
