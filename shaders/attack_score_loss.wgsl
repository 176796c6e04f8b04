// The loss of a score (of a detector, say) that an attack raises or lowers, with its gradient.
//   d = direction, or with labels -1 for label 1 (a sample that counts as in) and 1 for label 0
//   loss = d y;  dy = d;  success: d (y - threshold) > 0, if there is a threshold
// y, dy, loss, labels, success: [n].

// @constants
const HAS_LABELS: bool = true;
const HAS_THRESHOLD: bool = false;
// @end

struct Params {
  count: u32,
  direction: f32,
  threshold: f32,
}

@group(0) @binding(0) var<storage, read> y: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;
@group(0) @binding(3) var<storage, read_write> success: array<u32>;
@group(0) @binding(4) var<storage, read_write> dy: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let row = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (row >= params.count) { return; }
  var d = params.direction;
  if (HAS_LABELS) { d = select(1.0, -1.0, labels[row] == 1u); }
  loss[row] = d * y[row];
  dy[row] = d;
  success[row] = select(0u, 1u, HAS_THRESHOLD && d * (y[row] - params.threshold) > 0.0);
}
