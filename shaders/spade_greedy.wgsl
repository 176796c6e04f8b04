// Exact OBS of rows of weights (OBC, Frantar, Singh and Alistarh 2022): always the group of weights goes next whose
// removal costs least, and the rest of the row makes up for it. With C = L D Lᵀ what is left of the inverse between a
// group G and itself and y = L⁻¹ H⁻¹_G: what is left of its rows, removing G subtracts yᵀ D⁻¹ y from H⁻¹, so that
// H⁻¹ - Σ v vᵀ is left of it, v = y / √D: a Cholesky factorization of H⁻¹ whose pivots each row chooses for itself.
// Only the v are kept, and rows of the inverse are computed when they are wanted, a group's all at once.
//   cost of G = Σ z² / D, z = L⁻¹ w_G;  for the chosen G: w -= (z / √D) v, w_G = 0
// Removed groups go to the end of the row, each changing places with the last that is left, so that the work gets less
// from step to step: the weights of a row have places, and `order` says which group is where.
// inverse: [problems, size, size], H⁻¹; limits: [all rows], how many groups of each row may go; costs: [samples, steps,
// rows a sample], the root of what each step added. Of the rows in work: w, kept: [rows, size], kept 1 at first, 0 of
// what went; order: [rows, size / GROUP]; vectors: [rows, ⌈size / 4⌉, size], four v side by side, by place; blocks:
// [rows, 2 TRIANGLE + GROUP, size / GROUP], by place: C, L with 1 / √D in its diagonal, z / √D. With `run`, at most
// `run - keep` of every `run` neighboring weights go (n:m sparsity, groups of one).
// One workgroup a row, which does the steps from `first_step` to `end_step`; step 0 begins anew.

// @constants
const LANES: u32 = 8u;
const GROUP: u32 = 1u;
// Places that a lane computes together, for which it loads the group's own vectors once.
const PLACES: u32 = 4u;
const UNROLL: bool = true;
const TRIANGLE: u32 = GROUP * (GROUP + 1u) / 2u;
// @end

struct Params {
  first_row: u32,
  rows_a_sample: u32,
  outputs: u32,
  size: u32,
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
@group(0) @binding(4) var<storage, read_write> order: array<u32>;
@group(0) @binding(5) var<storage, read_write> vectors: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> blocks: array<f32>;
@group(0) @binding(7) var<storage, read_write> costs: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

const NONE = 3.4e38;
// A pivot that rounding has made 0 or less.
const SMALLEST = 1e-30;

var<workgroup> best_cost: array<f32, LANES>;
var<workgroup> best_group: array<u32, LANES>;
var<workgroup> best_place: array<u32, LANES>;

// Whether the pattern lets a weight of this row go.
fn is_free(first_weight: u32, weight: u32) -> bool {
  if (params.run == 0u) { return true; }
  let start = weight / params.run * params.run;
  let length = min(params.run, params.size - start);
  let most = length - (length * params.keep + params.run - 1u) / params.run;
  var gone = 0u;
  for (var i = start; i < start + length; i++) { gone += select(1u, 0u, kept[first_weight + i] != 0.0); }
  return gone < most;
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = params.first_row + workgroup.x;
  let size = params.size;
  let groups = size / GROUP;
  let first_weight = workgroup.x * size;
  let first_group = workgroup.x * groups;
  let first_vector = workgroup.x * ((size + 3u) / 4u) * size;
  let first_block = workgroup.x * (2u * TRIANGLE + GROUP) * groups;
  let matrix = row / params.outputs * size * size;
  let end_step = min(params.end_step, u32(limits[row]));
  for (var step = params.first_step; step < end_step; step++) {
    let left = groups - step;
    let known = step * GROUP;
    let quads = (known + 3u) / 4u;

    // What every group would cost.
    var cost = NONE;
    var chosen = 0xffffffffu;
    var place = 0u;
    for (var at = lane; at < left; at += LANES) {
      // @scalars
      var c: array<f32, TRIANGLE>;
      // @scalars
      var z: array<f32, GROUP>;
      let block = first_block + at;
      if (step == 0u) {
        order[first_group + at] = at;
        // @unroll
        for (var i = 0u; i < GROUP; i++) {
          // @unroll
          for (var j = 0u; j < i + 1u; j++) {
            c[i * (i + 1u) / 2u + j] = inverse[matrix + (at * GROUP + i) * size + at * GROUP + j];
          }
        }
      } else {
        // @unroll
        for (var e = 0u; e < TRIANGLE; e++) {
          c[e] = blocks[block + e * groups];
        }
        // Less what the last step's vectors take away; older ones may share their first four.
        for (var quad = (known - GROUP) / 4u; quad < quads; quad++) {
          let is_new = vec4u(4u * quad) + vec4u(0u, 1u, 2u, 3u) >= vec4u(known - GROUP);
          // @scalars
          var v: array<vec4f, GROUP>;
          // @unroll
          for (var i = 0u; i < GROUP; i++) {
            v[i] = select(vec4f(0.0), vectors[first_vector + quad * size + at * GROUP + i], is_new);
          }
          // @unroll
          for (var i = 0u; i < GROUP; i++) {
            // @unroll
            for (var j = 0u; j < i + 1u; j++) {
              c[i * (i + 1u) / 2u + j] -= dot(v[i], v[j]);
            }
          }
        }
      }
      // @unroll
      for (var e = 0u; e < TRIANGLE; e++) {
        blocks[block + e * groups] = c[e];
      }
      let group = order[first_group + at];
      // @unroll
      for (var i = 0u; i < GROUP; i++) {
        z[i] = w[first_weight + group * GROUP + i];
      }
      var own = 0.0;
      // @unroll
      for (var i = 0u; i < GROUP; i++) {
        let pivot = max(c[i * (i + 1u) / 2u + i], SMALLEST);
        own += z[i] * z[i] / pivot;
        // @unroll
        for (var j = i + 1u; j < GROUP; j++) {
          let share = c[j * (j + 1u) / 2u + i] / pivot;
          z[j] -= share * z[i];
          // @unroll
          for (var k = i + 1u; k < j + 1u; k++) {
            c[j * (j + 1u) / 2u + k] -= share * c[k * (k + 1u) / 2u + i];
          }
        }
        // @unroll
        for (var j = i + 1u; j < GROUP; j++) {
          c[j * (j + 1u) / 2u + i] /= pivot;
        }
        let root = inverseSqrt(pivot);
        c[i * (i + 1u) / 2u + i] = root;
        z[i] *= root;
      }
      // @unroll
      for (var e = 0u; e < TRIANGLE; e++) {
        blocks[block + (TRIANGLE + e) * groups] = c[e];
      }
      // @unroll
      for (var i = 0u; i < GROUP; i++) {
        blocks[block + (2u * TRIANGLE + i) * groups] = z[i];
      }
      if ((own < cost || (own == cost && group < chosen)) && is_free(first_weight, group)) {
        cost = own;
        chosen = group;
        place = at;
      }
    }
    best_cost[lane] = cost;
    best_group[lane] = chosen;
    best_place[lane] = place;
    workgroupBarrier();
    // Of equal costs the first group.
    for (var other = 0u; other < LANES; other++) {
      let theirs = best_cost[other];
      if (theirs < cost || (theirs == cost && best_group[other] < chosen)) {
        cost = theirs;
        chosen = best_group[other];
        place = best_place[other];
      }
    }

    // The chosen group and the last one change places.
    let last = left - 1u;
    if (lane == 0u) {
      let at = (row / params.rows_a_sample * params.steps + step) * params.rows_a_sample + row % params.rows_a_sample;
      costs[at] = sqrt(cost);
      chosen = order[first_group + place];
      order[first_group + place] = order[first_group + last];
      order[first_group + last] = chosen;
    }
    for (var e = lane; e < TRIANGLE; e += LANES) {
      let block = first_block + e * groups;
      blocks[block + place] = blocks[block + last];
    }
    for (var quad = lane; quad < quads; quad += LANES) {
      let line = first_vector + quad * size;
      // @unroll
      for (var i = 0u; i < GROUP; i++) {
        let moved = vectors[line + place * GROUP + i];
        vectors[line + place * GROUP + i] = vectors[line + last * GROUP + i];
        vectors[line + last * GROUP + i] = moved;
      }
    }
    storageBarrier();
    workgroupBarrier();

    // Its rows of what is left of the inverse, and what follows from them.
    // @scalars
    var l: array<f32, TRIANGLE>;
    // @scalars
    var change: array<f32, GROUP>;
    // @unroll
    for (var e = 0u; e < TRIANGLE; e++) {
      l[e] = blocks[first_block + (TRIANGLE + e) * groups + place];
    }
    // @unroll
    for (var i = 0u; i < GROUP; i++) {
      change[i] = blocks[first_block + (2u * TRIANGLE + i) * groups + place];
    }
    let own = last * GROUP;
    let lines = matrix + order[first_group + last] * GROUP * size;
    for (var first = lane; first < left * GROUP; first += PLACES * LANES) {
      // @scalars
      var at: array<u32, PLACES>;
      // @scalars
      var weight: array<u32, PLACES>;
      // @scalars
      var y: array<array<f32, GROUP>, PLACES>;
      // @scalars
      var v: array<vec4f, PLACES>;
      // @unroll
      for (var p = 0u; p < PLACES; p++) {
        at[p] = min(first + p * LANES, left * GROUP - 1u);
        weight[p] = order[first_group + at[p] / GROUP] * GROUP + at[p] % GROUP;
        // @unroll
        for (var i = 0u; i < GROUP; i++) {
          y[p][i] = inverse[lines + i * size + weight[p]];
        }
      }
      for (var quad = 0u; quad < quads; quad++) {
        let line = first_vector + quad * size;
        // @unroll
        for (var p = 0u; p < PLACES; p++) {
          v[p] = vectors[line + at[p]];
        }
        // @unroll
        for (var i = 0u; i < GROUP; i++) {
          let theirs = vectors[line + own + i];
          // @unroll
          for (var p = 0u; p < PLACES; p++) {
            y[p][i] -= dot(v[p], theirs);
          }
        }
      }
      // @unroll
      for (var p = 0u; p < PLACES; p++) {
        if (first + p * LANES < own) {
          var rest = w[first_weight + weight[p]];
          // @unroll
          for (var i = 0u; i < GROUP; i++) {
            // @unroll
            for (var j = 0u; j < i; j++) {
              y[p][i] -= l[i * (i + 1u) / 2u + j] * y[p][j];
            }
            let value = y[p][i] * l[i * (i + 1u) / 2u + i];
            rest -= change[i] * value;
            let number = known + i;
            let target_at = first_vector + number / 4u * size + at[p];
            if (number % 4u == 0u) {
              vectors[target_at] = vec4f(value, 0.0, 0.0, 0.0);
            } else {
              vectors[target_at][number % 4u] = value;
            }
          }
          w[first_weight + weight[p]] = rest;
        } else if (first + p * LANES < left * GROUP) {
          w[first_weight + weight[p]] = 0.0;
          kept[first_weight + weight[p]] = 0.0;
        }
      }
    }
    storageBarrier();
    workgroupBarrier();
  }
}
