// The schedule of APGD (F. Croce and M. Hein, "Reliable evaluation of adversarial robustness", ICML 2020),
// for each sample: remembers the point of the largest loss, and at a checkpoint (window > 0) halves the step
// and goes back to that point if
//   the loss rose in at most rho window of the last `window` steps, or
//   the step was not halved at the last checkpoint and the best loss has not grown since
// The loss of this step is curve[row][column]. improved: a new best loss; restarted: to go back to the best
// point. curve: [n, columns]; state: [n, 3], best loss, best loss at the last checkpoint, whether the step
// was halved there; budget: [n, 2], epsilon and step; improved, restarted: [n].

struct Params {
  count: u32,
  column: u32,
  columns: u32,
  window: u32,
  rho: f32,
}

@group(0) @binding(0) var<storage, read> curve: array<f32>;
@group(0) @binding(1) var<storage, read_write> state: array<f32>;
@group(0) @binding(2) var<storage, read_write> budget: array<f32>;
@group(0) @binding(3) var<storage, read_write> improved: array<u32>;
@group(0) @binding(4) var<storage, read_write> restarted: array<u32>;
@group(0) @binding(5) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let row = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (row >= params.count) { return; }
  let now = row * params.columns + params.column;
  let loss = curve[now];
  let finite = (bitcast<u32>(loss) & 0x7f800000u) != 0x7f800000u;
  var best = state[3u * row];
  // Column 0 starts anew: state and its buffer may hold an earlier run.
  let better = finite && (params.column == 0u || loss > best);
  if (params.column == 0u) { best = -3.4028234e38; }
  best = select(best, loss, better);
  state[3u * row] = best;
  improved[row] = select(0u, 1u, better);
  restarted[row] = 0u;
  if (params.column == 0u) {
    state[3u * row + 1u] = best;
    state[3u * row + 2u] = 0.0;
  }
  if (params.window == 0u) { return; }

  var rises = 0u;
  for (var i = 0u; i < params.window; i++) { rises += select(0u, 1u, curve[now - i] > curve[now - i - 1u]); }
  let swings = f32(rises) <= params.rho * f32(params.window);
  let stands = state[3u * row + 2u] == 0.0 && state[3u * row + 1u] >= best;
  let halve = swings || stands;
  state[3u * row + 1u] = best;
  state[3u * row + 2u] = select(0.0, 1.0, halve);
  if (halve) { budget[2u * row + 1u] *= 0.5; }
  restarted[row] = select(0u, 1u, halve);
}
