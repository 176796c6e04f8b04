// spade_blocks with u, without counts and pattern, for blocks of few columns: an invocation has four rows of one group
// and holds their weights of a block, a workgroup all rows of a sample, so that each weight is loaded and stored once a
// block, and each value of u serves four rows; those of the columns before a block are loaded by one lane of a subgroup
// and broadcast. For software adapters, where a load costs many times a multiply-add.
// Loops end with the block's width, since constant ones are unrolled by some compilers, for many seconds.
//   e_rj = w_rj / U_jj if removed, else 0;  w_rk -= e_rj U_jk for j < k < end;  w_rj = 0 if removed
// Removed are of each sample and block as many weights as the mask has zeros there, those with the smallest
// w² · scale, exactly: of equal ones the first, row by row. They have 0 in the mask then, the others 1.
// w, mask: [samples, groups, size, outputs]; scale: [samples, groups, size]; u: [samples · groups, size, size], upper;
// errors: [samples · groups, room, outputs in whole vec4]. The select is that of spade_blocks.

// The subgroup must have at least LANES lanes, which divide MOST_COLUMNS.
enable subgroups;

// @constants
const WORKGROUP_SIZE: u32 = 16u;
const MOST_COLUMNS: u32 = 16u;
const LANES: u32 = 4u;
// Whether all lanes have the same u: there is one group.
const SHARED: bool = true;
const LOADS_U: u32 = MOST_COLUMNS / LANES;
// @end

struct Params {
  samples: u32,
  groups: u32,
  size: u32,
  outputs: u32,
  first: u32,
  end: u32,
  block_size: u32,
  room: u32,
}

@group(0) @binding(0) var<storage, read> scale: array<f32>;
@group(0) @binding(1) var<storage, read> u: array<f32>;
@group(0) @binding(2) var<storage, read_write> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> mask: array<f32>;
@group(0) @binding(4) var<storage, read_write> errors: array<vec4f>;
@group(0) @binding(5) var<uniform> params: Params;

struct Found {
  digit: u32,
  // How many of those that share the digits so far go, and how many there are.
  wanted: u32,
  ties: u32,
}

var<workgroup> bins: array<atomic<u32>, 256>;
var<workgroup> zeros: atomic<u32>;
var<workgroup> found: Found;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
  let sample = workgroup.x + workgroup.y * workgroups.x;
  if (sample >= params.samples) { return; }
  let quads = (params.outputs + 3u) / 4u;
  let group = min(lane / quads, params.groups - 1u);
  let row = lane % quads * 4u;
  let present = select(0u, min(4u, params.outputs - row), lane < params.groups * quads);
  let is_present = vec4u(0u, 1u, 2u, 3u) < vec4u(present);
  let problem = sample * params.groups + group;
  let rank = (group * params.outputs + row + vec4u(0u, 1u, 2u, 3u)) * params.block_size;
  let error_at = problem * params.room * quads + row / 4u;
  let weight_at = problem * params.size * params.outputs + row;

  var value: array<vec4f, MOST_COLUMNS>;
  var key_of: array<vec4u, MOST_COLUMNS>;
  for (var start = params.first; start < params.end; start += params.block_size) {
    let width = min(params.block_size, params.end - start);
    if (lane == 0u) { atomicStore(&zeros, 0u); }
    workgroupBarrier();
    var own_zeros = 0u;
    for (var c = 0u; c < width; c++) {
      let at = weight_at + (start + c) * params.outputs;
      value[c] = vec4f(w[at], w[at + 1u], w[at + 2u], w[at + 3u]);
      let kept = vec4f(mask[at], mask[at + 1u], mask[at + 2u], mask[at + 3u]);
      own_zeros += dot(select(vec4u(0u), vec4u(1u), is_present & (kept == vec4f(0.0))), vec4u(1u));
    }
    atomicAdd(&zeros, own_zeros);
    // The errors of the blocks before. Behind the last column what is computed is not used.
    if (start > params.first) {
      // @scalars
      var change: array<vec4f, MOST_COLUMNS>;
      // @unroll
      for (var c = 0u; c < MOST_COLUMNS; c++) {
        // Without a value, Dawn sets a variable in a loop to 0 the first time only.
        change[c] = vec4f(0.0);
      }
      // @scalars
      var factors: array<f32, LOADS_U>;
      var before = error_at;
      var at = (problem * params.size + params.first) * params.size + start + select(0u, subgroup_lane % LANES, SHARED);
      for (var j = params.first; j < start; j++) {
        let error = errors[before];
        if (SHARED) {
          // @unroll
          for (var l = 0u; l < LOADS_U; l++) {
            factors[l] = u[at + LANES * l];
          }
          // @unroll
          for (var c = 0u; c < MOST_COLUMNS; c++) {
            change[c] += error * subgroupBroadcast(factors[c / LANES], c % LANES);
          }
        } else {
          // @unroll
          for (var c = 0u; c < MOST_COLUMNS; c++) {
            change[c] += error * u[at + c];
          }
        }
        before += quads;
        at += params.size;
      }
      // @unroll
      for (var c = 0u; c < MOST_COLUMNS; c++) {
        value[c] -= change[c];
      }
    }
    // Weights that are not there come last.
    for (var c = 0u; c < width; c++) {
      let score = value[c] * value[c] * scale[problem * params.size + start + c];
      key_of[c] = select(vec4u(0xffffffffu), bitcast<vec4u>(score), is_present);
    }

    workgroupBarrier();
    if (lane == 0u) { found.wanted = atomicLoad(&zeros); }
    let count = workgroupUniformLoad(&found).wanted;
    let all = params.groups * params.outputs * width;
    var key = 0u;
    var known = 0u;
    var place = 0xffffffffu;
    var now = Found(0u, count, all);
    if (count > 0u && count < all) {
      for (var shift = 24; shift >= 0 && now.wanted < now.ties; shift -= 8) {
        clear_bins(lane);
        for (var c = 0u; c < width; c++) {
          count_digits(key_of[c], known, key, u32(shift));
        }
        now = find_digit(now.wanted, lane);
        key |= now.digit << u32(shift);
        known |= 255u << u32(shift);
      }
      if (now.wanted < now.ties) {
        place = 0u;
        var placed = 0u;
        let top = firstLeadingBit(params.groups * params.outputs * params.block_size) / 8u * 8u;
        for (var shift = i32(top); shift >= 0 && now.wanted < now.ties; shift -= 8) {
          clear_bins(lane);
          for (var c = 0u; c < width; c++) {
            let own = select(vec4u(0xffffffffu), rank + c, key_of[c] == vec4u(key));
            count_digits(own, placed, place, u32(shift));
          }
          now = find_digit(now.wanted, lane);
          place |= now.digit << u32(shift);
          placed |= 255u << u32(shift);
        }
        place |= ~placed;
      }
    }

    // Columns from left to right, of which each takes the errors of those before it in the block.
    for (var c = 0u; c < width; c++) {
      var line = (problem * params.size + start) * params.size + start + c;
      var left = value[c];
      for (var j = 0u; j < c; j++) {
        left -= value[j] * u[line];
        line += params.size;
      }
      let own = key_of[c] & vec4u(known);
      let is_first = (own == vec4u(key)) & (rank + c <= vec4u(place));
      let removed = ((own < vec4u(key)) | is_first) & vec4<bool>(count > 0u);
      let result = select(left, vec4f(0.0), removed);
      let kept = select(vec4f(1.0), vec4f(0.0), removed);
      // From here on a column's errors are in the place of its weights.
      let error = select(vec4f(0.0), left / u[line], removed & is_present);
      value[c] = error;
      let at = weight_at + (start + c) * params.outputs;
      for (var i = 0u; i < present; i++) {
        w[at + i] = result[i];
        mask[at + i] = kept[i];
      }
      if (present > 0u) { errors[error_at + (start + c - params.first) * quads] = error; }
    }
  }
}

fn clear_bins(lane: u32) {
  for (var bin = lane; bin < 256u; bin += WORKGROUP_SIZE) { atomicStore(&bins[bin], 0u); }
  workgroupBarrier();
}

// Those that share the digits that are known are counted by their next one.
fn count_digits(own: vec4u, known: u32, shared_digits: u32, shift: u32) {
  let digit = (own >> vec4u(shift)) & vec4u(255u);
  let is_counted = (own & vec4u(known)) == vec4u(shared_digits);
  if (is_counted.x) { atomicAdd(&bins[digit.x], 1u); }
  if (is_counted.y) { atomicAdd(&bins[digit.y], 1u); }
  if (is_counted.z) { atomicAdd(&bins[digit.z], 1u); }
  if (is_counted.w) { atomicAdd(&bins[digit.w], 1u); }
}

// The digit in whose bin number `wanted` is, how far into the bin it is, and how many are in it.
fn find_digit(wanted: u32, lane: u32) -> Found {
  workgroupBarrier();
  if (lane == 0u) {
    var left = wanted;
    var bin = 0u;
    var inside = atomicLoad(&bins[0]);
    while (left > inside && bin < 255u) {
      left -= inside;
      bin++;
      inside = atomicLoad(&bins[bin]);
    }
    found = Found(bin, left, inside);
  }
  return workgroupUniformLoad(&found);
}
