// FastSPADE of whole layers, one workgroup a layer and sample, so that small layers are solved side by side, each without
// a word from the host. The smallest w² · scale of the dense layer say how many weights each block of columns loses. Then
// blocks go from left to right, an invocation with four rows, so that a weight is loaded and stored once a block, and each
// value of u serves four rows:
//   w_rk -= Σ_j e_rj U_jk, j < k;  removed of a block: its count of the smallest w² · scale
//   e_rj = w_rj / U_jj if removed, else 0;  w_rj = 0 if removed;  mask: 0 if removed, else 1
// Counts are exact: of equal scores the first ones go, row by row. The tensors of all layers stand one behind the other, a
// problem's at the places of its record: w, mask: [size, outputs]; u: [size, size], upper; scale: [size]; keys (scratch, the
// bits of the scores, which are not negative and so order as these): [size, quads]; errors (scratch): [size, quads], quads =
// outputs in whole vec4. records: [problems], of three vec4 each. With STEPS only the columns from `first` to `end`, whose errors
// spade_tail passes on by all cores; the limit of the whole layer stays among the keys meanwhile. For software adapters, where a load costs many times a
// multiply-add, threads are few, and what stands in the text twice takes twice as long to compile.

// The subgroup must have at least LANES lanes, which divide MOST_COLUMNS and WIDE.
enable subgroups;

// @constants
const WORKGROUP_SIZE: u32 = 16u;
const MOST_COLUMNS: u32 = 16u;
const WIDE: u32 = 24u;
const LANES: u32 = 4u;
const STEPS: bool = false;
const LOADS_U: u32 = MOST_COLUMNS / LANES;
const LOADS_WIDE: u32 = WIDE / LANES;
// @end

struct Params {
  problems: u32,
  first: u32,
  end: u32,
}

struct Problem {
  size: u32,
  outputs: u32,
  quads: u32,
  block_size: u32,
  // Weights to remove.
  removed: u32,
  w_at: u32,
  u_at: u32,
  scale_at: u32,
  // Of keys and errors.
  scratch_at: u32,
  // Columns, whole blocks of them, that take the errors of all before them at once.
  step: u32,
  // Of the keys.
  limit_at: u32,
}

@group(0) @binding(0) var<storage, read> records: array<vec4u>;
@group(0) @binding(1) var<storage, read> scale: array<f32>;
@group(0) @binding(2) var<storage, read> u: array<f32>;
@group(0) @binding(3) var<storage, read_write> w: array<f32>;
@group(0) @binding(4) var<storage, read_write> mask: array<f32>;
@group(0) @binding(5) var<storage, read_write> keys: array<vec4u>;
@group(0) @binding(6) var<storage, read_write> errors: array<vec4f>;
@group(0) @binding(7) var<uniform> params: Params;

// What a sum of digits has found.
struct Found {
  digit: u32,
  // How many of those that share the digits so far go, and how many there are.
  wanted: u32,
  ties: u32,
}

// Those with the known digits of the key, or before them, go; of equal ones up to a place.
struct Limit {
  key: u32,
  known: u32,
  place: u32,
}

var<workgroup> bins: array<atomic<u32>, 2048>;
var<workgroup> zeros: atomic<u32>;
var<workgroup> found: Found;

fn problem_of(number: u32) -> Problem {
  let a = records[3u * number];
  let b = records[3u * number + 1u];
  let c = records[3u * number + 2u].xy;
  return Problem(a.x, a.y, (a.y + 3u) / 4u, a.z, a.w, b.x, b.y, b.z, b.w, c.x, c.y);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
  let number = workgroup.x + workgroup.y * workgroups.x;
  if (number >= params.problems) { return; }
  let p = problem_of(number);
  let row = 4u * lane;
  let is_present = present(p, row);
  let count_present = select(0u, min(4u, p.outputs - row), row < p.outputs);
  // Invocations without rows read those of the last one, and write nothing.
  let quad = p.scratch_at + min(lane, p.quads - 1u);
  let weight_at = p.w_at + min(row, p.outputs - 1u);
  let u_at = p.u_at + subgroup_lane % LANES;

  var value: array<vec4f, MOST_COLUMNS>;
  // Columns before `ready` have taken all errors before `first`.
  var first = 0u;
  var ready = p.step;
  var last = p.size;
  // The first turn is the whole layer's.
  var is_layer = true;
  var of_layer = Limit(0u, 0u, 0u);
  if (STEPS) {
    first = params.first;
    last = min(params.end, p.size);
    ready = last;
    is_layer = first == 0u;
    let known = keys[p.limit_at];
    of_layer = Limit(known.x, known.y, known.z);
  }
  var start = first;
  while (start < last) {
    let end = select(min(start + p.block_size, last), p.size, is_layer);
    var wanted = p.removed;
    if (is_layer) {
      for (var c = 0u; c < p.size; c++) {
        let at = weight_at + c * p.outputs;
        keep_key(p, quad, row, c, vec4f(w[at], w[at + 1u], w[at + 2u], w[at + 3u]));
      }
    } else {
      if (start == ready) {
        first = start;
        ready = min(start + p.step, p.size);
        // The errors of the steps before, WIDE columns at a time. Behind the last column what is computed is not used.
        for (var column = first; column < ready; column += WIDE) {
          // @scalars
          var change: array<vec4f, WIDE>;
          // @unroll
          for (var c = 0u; c < WIDE; c++) {
            // Without a value, Dawn sets a variable in a loop to 0 the first time only.
            change[c] = vec4f(0.0);
          }
          // @scalars
          var factors: array<f32, LOADS_WIDE>;
          for (var j = 0u; j < first; j++) {
            let error = errors[quad + j * p.quads];
            // @unroll
            for (var l = 0u; l < LOADS_WIDE; l++) {
              factors[l] = u[u_at + j * p.size + column + LANES * l];
            }
            // @unroll
            for (var c = 0u; c < WIDE; c++) {
              change[c] += error * subgroupBroadcast(factors[c / LANES], c % LANES);
            }
          }
          var result: array<vec4f, WIDE>;
          // @unroll
          for (var c = 0u; c < WIDE; c++) {
            result[c] = change[c];
          }
          for (var c = 0u; c < min(WIDE, ready - column); c++) {
            let at = weight_at + (column + c) * p.outputs;
            for (var i = 0u; i < count_present; i++) { w[at + i] -= result[c][i]; }
          }
        }
      }
      wanted = zeros_of(p, of_layer, quad, row, vec2u(start, end), lane);
      for (var c = 0u; c < end - start; c++) {
        let at = weight_at + (start + c) * p.outputs;
        value[c] = vec4f(w[at], w[at + 1u], w[at + 2u], w[at + 3u]);
      }
      // The errors of the blocks before in this step.
      if (start > first) {
        // @scalars
        var change: array<vec4f, MOST_COLUMNS>;
        // @unroll
        for (var c = 0u; c < MOST_COLUMNS; c++) {
          change[c] = vec4f(0.0);
        }
        // @scalars
        var factors: array<f32, LOADS_U>;
        for (var j = first; j < start; j++) {
          let error = errors[quad + j * p.quads];
          // @unroll
          for (var l = 0u; l < LOADS_U; l++) {
            factors[l] = u[u_at + j * p.size + start + LANES * l];
          }
          // @unroll
          for (var c = 0u; c < MOST_COLUMNS; c++) {
            change[c] += error * subgroupBroadcast(factors[c / LANES], c % LANES);
          }
        }
        // @unroll
        for (var c = 0u; c < MOST_COLUMNS; c++) {
          value[c] -= change[c];
        }
      }
      for (var c = 0u; c < end - start; c++) { keep_key(p, quad, row, start + c, value[c]); }
    }

    let columns = vec2u(select(start, 0u, is_layer), end);
    let limit = limit_of(p, columns, wanted, select(8u, 11u, is_layer), quad, row, lane);
    if (is_layer) {
      is_layer = false;
      of_layer = limit;
      if (STEPS && lane == 0u) { keys[p.limit_at] = vec4u(limit.key, limit.known, limit.place, 0u); }
      continue;
    }

    // Columns from left to right, of which each takes the errors of those before it in the block.
    for (var c = 0u; c < end - start; c++) {
      var line = p.u_at + start * p.size + start + c;
      var left = value[c];
      for (var j = 0u; j < c; j++) {
        left -= value[j] * u[line];
        line += p.size;
      }
      let key = keys[quad + (start + c) * p.quads];
      let removed = is_before(key, ranks(row, end - start) + c, limit) & vec4<bool>(wanted > 0u);
      let result = select(left, vec4f(0.0), removed);
      let kept = select(vec4f(1.0), vec4f(0.0), removed);
      // From here on a column's errors are in the place of its weights.
      let error = select(vec4f(0.0), left / u[line], removed & is_present);
      value[c] = error;
      let at = weight_at + (start + c) * p.outputs;
      for (var i = 0u; i < count_present; i++) {
        w[at + i] = result[i];
        mask[at + i] = kept[i];
      }
      if (count_present > 0u) { errors[quad + (start + c) * p.quads] = error; }
    }
    start = end;
  }
}

// Weights that are not there come last.
fn keep_key(p: Problem, quad: u32, row: u32, column: u32, value: vec4f) {
  let key = bitcast<vec4u>(value * value * scale[p.scale_at + column]);
  if (row < p.outputs) { keys[quad + column * p.quads] = select(vec4u(0xffffffffu), key, present(p, row)); }
}

// How many weights of a block the whole layer's limit would remove.
fn zeros_of(p: Problem, limit: Limit, quad: u32, row: u32, columns: vec2u, lane: u32) -> u32 {
  if (p.removed == 0u) { return 0u; }
  if (lane == 0u) { atomicStore(&zeros, 0u); }
  workgroupBarrier();
  var own = vec4u(0u);
  for (var c = columns.x; c < columns.y; c++) {
    let goes = is_before(keys[quad + c * p.quads], ranks(row, p.size) + c, limit);
    own += select(vec4u(0u), vec4u(1u), goes & present(p, row));
  }
  atomicAdd(&zeros, dot(own, vec4u(1u)));
  workgroupBarrier();
  if (lane == 0u) { found.wanted = atomicLoad(&zeros); }
  return workgroupUniformLoad(&found).wanted;
}

// Which of the keys of some columns are the smallest: a radix select by digits of so many bits of the key, then, where ties
// are cut, of the place; it ends where all that share the digits so far go. choose_smallest of spade_blocks does the same.
fn limit_of(p: Problem, columns: vec2u, wanted: u32, bits: u32, quad: u32, row: u32, lane: u32) -> Limit {
  let width = columns.y - columns.x;
  let all = p.outputs * width;
  let digits = (1u << bits) - 1u;
  var now = Found(0u, wanted, all);
  var key = vec2u(0u);
  var place = vec2u(0u);
  var is_place = false;
  var shift = 32i - i32(bits);
  while (now.wanted > 0u && now.wanted < now.ties) {
    for (var bin = lane; bin <= digits; bin += WORKGROUP_SIZE) { atomicStore(&bins[bin], 0u); }
    workgroupBarrier();
    // The digits that are known, and where.
    let fixed = select(key, place, is_place);
    let by = u32(max(shift, 0));
    for (var c = columns.x; c < select(columns.x, columns.y, row < p.outputs); c++) {
      var own = keys[quad + c * p.quads];
      if (is_place) {
        own = select(vec4u(0xffffffffu), ranks(row, width) + (c - columns.x), own == vec4u(key.x));
      }
      let is_counted = (own & vec4u(fixed.y)) == vec4u(fixed.x);
      let digit = (own >> vec4u(by)) & vec4u(digits);
      for (var i = 0u; i < 4u; i++) {
        if (is_counted[i]) { atomicAdd(&bins[digit[i]], 1u); }
      }
    }
    workgroupBarrier();
    // The digit in whose bin number `wanted` is, how far into the bin it is, and how many are in it.
    if (lane == 0u) {
      var left = now.wanted;
      var bin = 0u;
      var inside = atomicLoad(&bins[0]);
      while (left > inside && bin < digits) {
        left -= inside;
        bin++;
        inside = atomicLoad(&bins[bin]);
      }
      found = Found(bin, left, inside);
    }
    now = workgroupUniformLoad(&found);
    let more = fixed | vec2u(now.digit << by, digits << by);
    if (is_place) {
      place = more;
      if (shift <= 0) { break; }
      shift -= i32(bits);
    } else {
      key = more;
      // The last digits have some bits of those before among them, which say nothing new.
      is_place = shift <= 0;
      // Of a place, digits above the first one are 0.
      let top = firstLeadingBit(all) / bits * bits;
      let known = select(0xffffffffu << min(top + bits, 31u), 0u, top + bits > 31u);
      place = select(vec2u(0u), vec2u(0u, known), is_place);
      shift = select(shift - i32(bits), i32(top), is_place);
    }
  }
  return Limit(key.x, key.y, place.x | ~place.y);
}

fn present(p: Problem, row: u32) -> vec4<bool> {
  return vec4u(row) + vec4u(0u, 1u, 2u, 3u) < vec4u(p.outputs);
}

// Of four rows in their first column, counted row by row.
fn ranks(row: u32, columns: u32) -> vec4u {
  return (row + vec4u(0u, 1u, 2u, 3u)) * columns;
}

fn is_before(key: vec4u, rank: vec4u, limit: Limit) -> vec4<bool> {
  let own = key & vec4u(limit.known);
  return (own < vec4u(limit.key)) | ((own == vec4u(limit.key)) & (rank <= vec4u(limit.place)));
}
