// Minus the squared distance of unit rows to their k-th nearest row of a bank of unit rows, with its gradient
// with respect to the rows before they were divided by their norms.
//   v = the bank's row with the k-th largest similarity u . bank (of equals the lowest number)
//   score = -|u - v|^2,   g = -2 (u - v),   slopes = (g - u (u . g)) / norm
// similarity: [n, bank]; units, slopes: [n, width]; norms, score: [n]; bank: [rows, width]. One workgroup a
// row. The k-th largest is found by its bits: from the highest on, a bit is set where at least k keys are left
// with it. Keys order as the numbers do.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
// @end

struct Params {
  count: u32,
  width: u32,
  rows: u32,
  k: u32,
}

@group(0) @binding(0) var<storage, read> similarity: array<f32>;
@group(0) @binding(1) var<storage, read> units: array<f32>;
@group(0) @binding(2) var<storage, read> norms: array<f32>;
@group(0) @binding(3) var<storage, read> bank: array<f32>;
@group(0) @binding(4) var<storage, read_write> score: array<f32>;
@group(0) @binding(5) var<storage, read_write> slopes: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

var<workgroup> counts: array<u32, WORKGROUP_SIZE>;
var<workgroup> sums: array<vec2f, WORKGROUP_SIZE>;

fn key_of(value: f32) -> u32 {
  // -0 is 0; negative numbers turn around.
  let bits = bitcast<u32>(select(value, 0.0, value == 0.0));
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.x + group.y * groups.x;
  // Invocations of a group share the row, so that they leave together.
  if (row >= params.count) { return; }
  let start = row * params.rows;

  var threshold = 0u;
  for (var bit = 0x80000000u; bit > 0u; bit >>= 1u) {
    let candidate = threshold | bit;
    var found = 0u;
    for (var i = lane; i < params.rows; i += WORKGROUP_SIZE) {
      found += select(0u, 1u, key_of(similarity[start + i]) >= candidate);
    }
    counts[lane] = found;
    workgroupBarrier();
    var total = 0u;
    for (var other = 0u; other < WORKGROUP_SIZE; other++) { total += counts[other]; }
    workgroupBarrier();
    if (total >= params.k) { threshold = candidate; }
  }
  var mine = params.rows;
  for (var i = lane; i < params.rows && mine == params.rows; i += WORKGROUP_SIZE) {
    if (key_of(similarity[start + i]) == threshold) { mine = i; }
  }
  counts[lane] = mine;
  workgroupBarrier();
  var neighbor = params.rows;
  for (var other = 0u; other < WORKGROUP_SIZE; other++) { neighbor = min(neighbor, counts[other]); }
  // Similarities that are no numbers have no neighbor: any row does.
  neighbor = min(neighbor, params.rows - 1u);

  let first = row * params.width;
  let nearest = neighbor * params.width;
  var partial = vec2f(0.0);
  for (var i = lane; i < params.width; i += WORKGROUP_SIZE) {
    let rest = units[first + i] - bank[nearest + i];
    partial += vec2f(rest * rest, units[first + i] * rest);
  }
  sums[lane] = partial;
  workgroupBarrier();
  var total = vec2f(0.0);
  for (var other = 0u; other < WORKGROUP_SIZE; other++) { total += sums[other]; }
  for (var i = lane; i < params.width; i += WORKGROUP_SIZE) {
    let u = units[first + i];
    slopes[first + i] = -2.0 * (u - bank[nearest + i] - u * total.y) / norms[row];
  }
  if (lane == 0u) { score[row] = -total.x; }
}
