// Gradient of softmax, or of its logarithm, along the middle axis of tensors seen as [lines / inner, length,
// inner].
//   dx[o, i, j] = y (dy - Σ over i of y dy), or dy - e^y Σ over i of dy with LOG
// dy, y (the forward pass's output), dx: one shape. One invocation a line: for lines of moderate length.

// @constants
const LOG: bool = false;
// @end

struct Params {
  lines: u32,
  length: u32,
  inner: u32,
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
// Terms that are summed before they go into the total: the rounding error grows with the depth, not the
// length.
const BLOCK = 32u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let line = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (line >= params.lines) { return; }
  let step = params.inner;
  let start = (line / step) * params.length * step + line % step;

  var total = 0.0;
  for (var first = 0u; first < params.length; first += BLOCK) {
    var part = 0.0;
    for (var i = first; i < min(first + BLOCK, params.length); i++) {
      let at = start + i * step;
      if (LOG) {
        part += dy[at];
      } else {
        part = fma(dy[at], y[at], part);
      }
    }
    total += part;
  }
  for (var i = 0u; i < params.length; i++) {
    let at = start + i * step;
    if (LOG) {
      dx[at] = fma(-exp(y[at]), total, dy[at]);
    } else {
      dx[at] = y[at] * (dy[at] - total);
    }
  }
}
