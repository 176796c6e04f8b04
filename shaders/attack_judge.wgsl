// Keeps the score of an attack: which samples are better off (for the attacker) than they ever were.
//   improved = (success, loss) > (best success, best loss), success first; only a finite loss is better
//   best = loss where improved;  curve[row][column] = loss, or the best so far (BEST_CURVE)
//   flags[row] |= 1 if the loss is not finite, 4 where a success is kept
// loss, success, best, flags, improved: [n]; curve: [n, columns]; column: query[0] / stride if there is a
// query counter (past the end nothing is written). HAS_SUCCESS false: by the loss alone. TAKE_LAST: a finite
// loss always improves.

// @constants
const HAS_SUCCESS: bool = true;
const HAS_QUERY: bool = false;
const TAKE_LAST: bool = false;
const BEST_CURVE: bool = false;
// @end

struct Params {
  count: u32,
  column: u32,
  columns: u32,
  stride: u32,
}

@group(0) @binding(0) var<storage, read> loss: array<f32>;
@group(0) @binding(1) var<storage, read> success: array<u32>;
@group(0) @binding(2) var<storage, read> query: array<u32>;
@group(0) @binding(3) var<storage, read_write> best: array<f32>;
@group(0) @binding(4) var<storage, read_write> flags: array<u32>;
@group(0) @binding(5) var<storage, read_write> curve: array<f32>;
@group(0) @binding(6) var<storage, read_write> improved: array<u32>;
@group(0) @binding(7) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
const NON_FINITE = 1u;
const SUCCESS = 4u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let row = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (row >= params.count) { return; }
  let value = loss[row];
  let finite = (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u;
  var state = flags[row];
  let kept = (state & SUCCESS) != 0u;
  var hit = kept;
  if (HAS_SUCCESS) { hit = success[row] != 0u; }
  let better = finite && (TAKE_LAST || (hit && !kept) || (hit == kept && value > best[row]));
  if (better) {
    best[row] = value;
    state = select(state & ~SUCCESS, state | SUCCESS, hit);
  }
  flags[row] = select(state | NON_FINITE, state, finite);
  var column = params.column;
  if (HAS_QUERY) { column = query[0] / params.stride; }
  if (column < params.columns) {
    curve[row * params.columns + column] = select(value, best[row], BEST_CURVE);
  }
  improved[row] = select(0u, 1u, better);
}
