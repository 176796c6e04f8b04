// Joins the results of a batch into those of the whole data set, as far as they are better for the attacker.
//   t = slots[row];  improved = (success, loss) > (success of t, best[t]), success first
//   best[t] = loss and the success flag where improved; all other flags of the batch are added to those of t
// loss, flags, slots, improved: [n], slots past the end are padding; best, merged: [total].

struct Params {
  count: u32,
  total: u32,
}

@group(0) @binding(0) var<storage, read> loss: array<f32>;
@group(0) @binding(1) var<storage, read> flags: array<u32>;
@group(0) @binding(2) var<storage, read> slots: array<u32>;
@group(0) @binding(3) var<storage, read_write> best: array<f32>;
@group(0) @binding(4) var<storage, read_write> merged: array<u32>;
@group(0) @binding(5) var<storage, read_write> improved: array<u32>;
@group(0) @binding(6) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
const SUCCESS = 4u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let row = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (row >= params.count) { return; }
  let slot = slots[row];
  improved[row] = 0u;
  if (slot >= params.total) { return; }
  let mine = flags[row] & SUCCESS;
  let theirs = merged[slot] & SUCCESS;
  let better = mine > theirs || (mine == theirs && loss[row] > best[slot]);
  if (better) { best[slot] = loss[row]; }
  merged[slot] = select(merged[slot] | (flags[row] & ~SUCCESS), merged[slot] | flags[row], better);
  improved[row] = select(0u, 1u, better);
}
