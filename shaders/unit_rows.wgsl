// Rows divided by their l2 norm: units[row] = x[row] / max(|x[row]|, 1e-12), norms[row] the divisor.
// x, units: [n, width]; norms: [n]. One invocation a row. The largest size is divided out first, so that no
// square overflows or underflows.

struct Params {
  count: u32,
  width: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> units: array<f32>;
@group(0) @binding(2) var<storage, read_write> norms: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
const TINY = 1e-12;
const BLOCK = 16u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let row = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (row >= params.count) { return; }
  let first = row * params.width;
  let end = first + params.width;
  var largest = TINY;
  for (var i = first; i < end; i++) { largest = max(largest, abs(x[i])); }
  var total = 0.0;
  for (var start = first; start < end; start += BLOCK) {
    var part = 0.0;
    for (var i = start; i < min(start + BLOCK, end); i++) {
      let value = x[i] / largest;
      part += value * value;
    }
    total += part;
  }
  let norm = max(largest * sqrt(total), TINY);
  for (var i = first; i < end; i++) { units[i] = x[i] / norm; }
  norms[row] = norm;
}
