// Exact OBS of rows of weights (OBC, Frantar, Singh and Alistarh 2022): always the group of weights goes next whose
// removal costs least, and the rest of the row makes up for it. Removing p subtracts c cᵀ / c_p from H⁻¹, c its column p,
// so that H⁻¹ - Σ v vᵀ is left of it, v = c / √c_p: a Cholesky factorization of H⁻¹ whose pivots each row chooses for
// itself. Only the vectors v of each row are kept, and a column is computed when it is wanted.
//   cost of group G = w_Gᵀ (H⁻¹_GG)⁻¹ w_G;  for each p of the chosen G: w -= (w_p / √c_p) v, w_p = 0
// inverse: [problems, size, size], H⁻¹; limits: [all rows], how many groups of each row may go; costs: [samples, steps,
// rows a sample], the root of what each step added. Of the rows in work: w, kept: [rows, size], kept 1 or 0; vectors:
// [rows, size, size]; blocks: [rows, size, 2 group + 1], what is left of H⁻¹_GG (a line a weight), and a scratch copy of
// it and of w. With `run`, at most `run - keep` of every `run` neighboring weights go (n:m sparsity, groups of one).
// One workgroup a row, which does the steps from `first_step` to `end_step`; step 0 begins anew.

// @constants
const WORKGROUP_SIZE: u32 = 32u;
// @end

struct Params {
  first_row: u32,
  rows_a_sample: u32,
  outputs: u32,
  size: u32,
  group: u32,
  first_step: u32,
  end_step: u32,
  steps: u32,
  run: u32,
  keep: u32,
}

@group(0) @binding(0) var<storage, read> inverse: array<f32>;
@group(0) @binding(1) var<storage, read> limits: array<f32>;
@group(0) @binding(2) var<storage, read_write> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> kept: array<f32>;
@group(0) @binding(4) var<storage, read_write> vectors: array<f32>;
@group(0) @binding(5) var<storage, read_write> blocks: array<f32>;
@group(0) @binding(6) var<storage, read_write> costs: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

const NONE = 3.4e38;
// A pivot that rounding has made 0 or less.
const SMALLEST = 1e-30;

var<workgroup> best_cost: array<f32, WORKGROUP_SIZE>;
var<workgroup> best_group: array<u32, WORKGROUP_SIZE>;

// Whether the pattern lets a weight of this row go.
fn is_free(first_weight: u32, place: u32) -> bool {
  if (params.run == 0u) { return true; }
  let start = place / params.run * params.run;
  let length = min(params.run, params.size - start);
  let most = length - (length * params.keep + params.run - 1u) / params.run;
  var gone = 0u;
  for (var i = start; i < start + length; i++) { gone += select(1u, 0u, kept[first_weight + i] != 0.0); }
  return gone < most;
}

// w_Gᵀ (H⁻¹_GG)⁻¹ w_G: the weights of the group eliminated one after the other in the scratch copy.
fn cost_of(line: u32) -> f32 {
  let g = params.group;
  let span = 2u * g + 1u;
  if (g == 1u) { return w[line] * w[line] / max(blocks[line * span], SMALLEST); }
  for (var i = 0u; i < g; i++) {
    let at = (line + i) * span;
    for (var j = 0u; j <= i; j++) { blocks[at + g + j] = blocks[at + j]; }
    blocks[at + 2u * g] = w[line + i];
  }
  var cost = 0.0;
  for (var i = 0u; i < g; i++) {
    let at = (line + i) * span;
    let pivot = max(blocks[at + g + i], SMALLEST);
    let weight = blocks[at + 2u * g];
    cost += weight * weight / pivot;
    for (var j = i + 1u; j < g; j++) {
      let other = (line + j) * span;
      let share = blocks[other + g + i] / pivot;
      blocks[other + 2u * g] -= share * weight;
      for (var k = i + 1u; k <= j; k++) { blocks[other + g + k] -= share * blocks[(line + k) * span + g + i]; }
    }
  }
  return cost;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let local_row = workgroup.x;
  let row = params.first_row + local_row;
  let size = params.size;
  let g = params.group;
  let span = 2u * g + 1u;
  let first_weight = local_row * size;
  let matrix = row / params.outputs * size * size;
  let limit = u32(limits[row]);
  if (params.first_step == 0u) {
    for (var j = lane; j < size; j += WORKGROUP_SIZE) {
      kept[first_weight + j] = 1.0;
      for (var q = 0u; q < g; q++) {
        blocks[(first_weight + j) * span + q] = inverse[matrix + j * size + j / g * g + q];
      }
    }
  }
  storageBarrier();
  workgroupBarrier();
  for (var step = params.first_step; step < params.end_step; step++) {
    var cost = NONE;
    var choice = 0u;
    for (var candidate = lane; candidate < size / g; candidate += WORKGROUP_SIZE) {
      let line = first_weight + candidate * g;
      if (kept[line] != 0.0 && is_free(first_weight, candidate * g)) {
        let own = cost_of(line);
        if (own < cost) {
          cost = own;
          choice = candidate;
        }
      }
    }
    best_cost[lane] = cost;
    best_group[lane] = choice;
    workgroupBarrier();
    // Of equal costs the first group: a lane's own is its first.
    for (var other = 0u; other < WORKGROUP_SIZE; other++) {
      let theirs = best_cost[other];
      if (theirs < cost || (theirs == cost && best_group[other] < choice)) {
        cost = theirs;
        choice = best_group[other];
      }
    }
    let goes = step < limit && cost < NONE;
    if (lane == 0u) {
      let at = (row / params.rows_a_sample * params.steps + step) * params.rows_a_sample + row % params.rows_a_sample;
      if (step < limit) { costs[at] = sqrt(cost); }
    }
    storageBarrier();
    workgroupBarrier();
    for (var i = 0u; i < g; i++) {
      let p = choice * g + i;
      let known = step * g + i;
      let vector = (first_weight + known) * size;
      let inverse_root = inverseSqrt(max(blocks[(first_weight + p) * span + i], SMALLEST));
      let change = w[first_weight + p] * inverse_root;
      if (goes) {
        for (var j = lane; j < size; j += WORKGROUP_SIZE) {
          var value = inverse[matrix + p * size + j];
          for (var k = 0u; k < known; k++) {
            let other = (first_weight + k) * size;
            value -= vectors[other + p] * vectors[other + j];
          }
          vectors[vector + j] = select(0.0, value * inverse_root, kept[first_weight + j] != 0.0);
        }
      }
      storageBarrier();
      workgroupBarrier();
      if (goes) {
        for (var j = lane; j < size; j += WORKGROUP_SIZE) {
          let value = vectors[vector + j];
          w[first_weight + j] -= change * value;
          for (var q = 0u; q < g; q++) {
            blocks[(first_weight + j) * span + q] -= value * vectors[vector + j / g * g + q];
          }
          if (j == p) {
            w[first_weight + j] = 0.0;
            kept[first_weight + j] = 0.0;
          }
        }
      }
      storageBarrier();
      workgroupBarrier();
    }
  }
}
