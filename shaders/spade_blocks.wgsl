// Which weights go, block of columns by block, and (with u) block OBS from block to block: the error of a removed weight,
// w / U_jj, goes to the columns after it, as far as `end`, and is kept for those behind.
//   score = w² · scale of its column;  mask = 0 if it is removed, else 1
//   e_rj = w_rj / U_jj if removed, else 0;  w_rk -= e_rj U_jk for j < k < end;  w_rj = 0 if removed
// Removed are, of each sample and block, as many weights as `counts` says (without it, as many as the mask has zeros
// there) with the smallest scores, exactly: of equal scores the first ones, row by row. With PATTERN: of every `length`
// neighboring columns of a row all but the `keep` with the largest scores, of equal ones the later; a shorter run at the end
// keeps its share, rounded up; blocks begin with a run.
// w, mask: [samples, groups, size, outputs], a column of the layer's matrix a row of w; scale: [samples, groups, size];
// u: [samples · groups, size, size], upper; counts: [samples, blocks], of which the first block has number `block`;
// errors: [samples · groups, room, outputs in whole vec4], the scores meanwhile. One workgroup a sample, since all its rows are
// compared, with a pattern `parts` of them; all columns of a row are one lane's, so that only counting needs barriers.
// The select is a radix select by four digits of the score (not negative, so its bits order as it does), then, where
// ties are cut, by digits of the place; it ends where all that share the digits so far go.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
const HAS_U: bool = true;
const HAS_COUNTS: bool = true;
const PATTERN: bool = false;
// @end

struct Params {
  samples: u32,
  groups: u32,
  size: u32,
  outputs: u32,
  first: u32,
  end: u32,
  block_size: u32,
  block: u32,
  blocks: u32,
  room: u32,
  keep: u32,
  length: u32,
  parts: u32,
}

@group(0) @binding(0) var<storage, read> scale: array<f32>;
@group(0) @binding(1) var<storage, read> u: array<f32>;
@group(0) @binding(2) var<storage, read> counts: array<u32>;
@group(0) @binding(3) var<storage, read_write> w: array<f32>;
@group(0) @binding(4) var<storage, read_write> mask: array<f32>;
@group(0) @binding(5) var<storage, read_write> errors: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

// What a sum of digits has found: all counts fit in one load.
struct Found {
  digit: u32,
  // How many of those that share the digits so far go, and how many there are.
  wanted: u32,
  ties: u32,
}

var<workgroup> bins: array<atomic<u32>, 256>;
var<workgroup> found: Found;

// A lane's first row of all groups' ones, and from one to the next.
var<private> first_row: u32;
var<private> row_step: u32;
var<private> rows: u32;

// Where a row's weight in column 0, its error in column `first`, and its group's column 0 are.
struct Row {
  w_at: u32,
  error_at: u32,
  line: u32,
}

fn row_of(sample: u32, row: u32) -> Row {
  let problem = sample * params.groups + row / params.outputs;
  let output = row % params.outputs;
  let line = problem * params.size;
  return Row(line * params.outputs + output, problem * params.room * width_of_errors() + output, line);
}

// From a column's errors to the next one's.
fn width_of_errors() -> u32 {
  return (params.outputs + 3u) / 4u * 4u;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let flat = workgroup.x + workgroup.y * workgroups.x;
  let sample = flat / params.parts;
  if (sample >= params.samples) { return; }
  first_row = flat % params.parts * WORKGROUP_SIZE + lane;
  row_step = params.parts * WORKGROUP_SIZE;
  rows = params.groups * params.outputs;
  var block = params.block;
  for (var start = params.first; start < params.end; start += params.block_size) {
    let stop = min(start + params.block_size, params.end);
    score(sample, start, stop);
    if (PATTERN) {
      choose_runs(sample, start, stop);
    } else {
      choose_smallest(sample, start, stop, block, lane);
    }
    if (HAS_U) { sweep(sample, start, stop); }
    block++;
  }
}

// The errors of the blocks before reach this one, four columns at a time; then its scores.
fn score(sample: u32, start: u32, stop: u32) {
  for (var r = first_row; r < rows; r += row_step) {
    let row = row_of(sample, r);
    for (var k = start; k < stop; k += 4u) {
      // Behind the last column what is read is not used.
      var change = vec4f(0.0);
      if (HAS_U) {
        var error_at = row.error_at;
        var at = (row.line + params.first) * params.size + k;
        for (var j = params.first; j < start; j++) {
          change += errors[error_at] * vec4f(u[at], u[at + 1u], u[at + 2u], u[at + 3u]);
          error_at += width_of_errors();
          at += params.size;
        }
      }
      for (var c = 0u; c < min(4u, stop - k); c++) {
        let at = row.w_at + (k + c) * params.outputs;
        let value = w[at] - change[c];
        if (HAS_U && start > params.first) { w[at] = value; }
        errors[row.error_at + (k + c - params.first) * width_of_errors()] = value * value * scale[row.line + k + c];
      }
    }
  }
}

fn choose_runs(sample: u32, start: u32, stop: u32) {
  for (var r = first_row; r < rows; r += row_step) {
    let row = row_of(sample, r);
    for (var run = start; run < stop; run += params.length) {
      let length = min(params.length, stop - run);
      let removed = length - (length * params.keep + params.length - 1u) / params.length;
      let scores = row.error_at + (run - params.first) * width_of_errors();
      for (var j = 0u; j < length; j++) {
        let own = errors[scores + j * width_of_errors()];
        // How many go before this one.
        var rank = 0u;
        for (var other = 0u; other < length; other++) {
          let theirs = errors[scores + other * width_of_errors()];
          rank += select(0u, 1u, theirs < own || (theirs == own && other < j));
        }
        mask[row.w_at + (run + j) * params.outputs] = select(1.0, 0.0, rank < removed);
      }
    }
  }
}

fn choose_smallest(sample: u32, start: u32, stop: u32, block: u32, lane: u32) {
  let width = stop - start;
  let all = params.groups * params.outputs * width;
  let count = count_of(sample, start, stop, block, lane);
  // Those with the known digits of the key, or before them, go; of equal ones up to a place.
  var key = 0u;
  var known = 0u;
  var place = 0xffffffffu;
  var now = Found(0u, count, all);
  if (count > 0u && count < all) {
    for (var shift = 24; shift >= 0 && now.wanted < now.ties; shift -= 8) {
      clear_bins(lane);
      for (var r = first_row; r < rows; r += row_step) {
        var at = row_of(sample, r).error_at + (start - params.first) * width_of_errors();
        for (var c = 0u; c < width; c++) {
          let own = bitcast<u32>(errors[at]);
          if ((own & known) == key) { atomicAdd(&bins[(own >> u32(shift)) & 255u], 1u); }
          at += width_of_errors();
        }
      }
      now = find_digit(now.wanted, lane);
      key |= now.digit << u32(shift);
      known |= 255u << u32(shift);
    }
    if (now.wanted < now.ties) {
      let top = firstLeadingBit(all) / 8u * 8u;
      place = 0u;
      // Digits above the first one are 0.
      var placed = select(0xffffffffu << min(top + 8u, 31u), 0u, top == 24u);
      for (var shift = i32(top); shift >= 0 && now.wanted < now.ties; shift -= 8) {
        clear_bins(lane);
        for (var r = first_row; r < rows; r += row_step) {
          var at = row_of(sample, r).error_at + (start - params.first) * width_of_errors();
          for (var c = 0u; c < width; c++) {
            let own = r * width + c;
            if (bitcast<u32>(errors[at]) == key && (own & placed) == place) {
              atomicAdd(&bins[(own >> u32(shift)) & 255u], 1u);
            }
            at += width_of_errors();
          }
        }
        now = find_digit(now.wanted, lane);
        place |= now.digit << u32(shift);
        placed |= 255u << u32(shift);
      }
      place |= ~placed;
    }
  }
  for (var r = first_row; r < rows; r += row_step) {
    let row = row_of(sample, r);
    for (var c = 0u; c < width; c++) {
      let own = bitcast<u32>(errors[row.error_at + (start + c - params.first) * width_of_errors()]) & known;
      let removed = own < key || (own == key && r * width + c <= place);
      mask[row.w_at + (start + c) * params.outputs] = select(1.0, 0.0, removed && count > 0u);
    }
  }
}

// How many weights of a block go.
fn count_of(sample: u32, start: u32, stop: u32, block: u32, lane: u32) -> u32 {
  if (lane == 0u) { atomicStore(&bins[0], 0u); }
  workgroupBarrier();
  if (HAS_COUNTS) {
    if (lane == 0u) { atomicStore(&bins[0], counts[sample * params.blocks + block]); }
  } else {
    var zeros = 0u;
    for (var r = first_row; r < rows; r += row_step) {
      let row = row_of(sample, r);
      for (var k = start; k < stop; k++) {
        zeros += select(0u, 1u, mask[row.w_at + k * params.outputs] == 0.0);
      }
    }
    atomicAdd(&bins[0], zeros);
  }
  workgroupBarrier();
  if (lane == 0u) { found.wanted = atomicLoad(&bins[0]); }
  return workgroupUniformLoad(&found).wanted;
}

fn clear_bins(lane: u32) {
  for (var bin = lane; bin < 256u; bin += WORKGROUP_SIZE) { atomicStore(&bins[bin], 0u); }
  workgroupBarrier();
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

// Columns from left to right, of which each takes the errors of those before it in the block.
fn sweep(sample: u32, start: u32, stop: u32) {
  for (var r = first_row; r < rows; r += row_step) {
    let row = row_of(sample, r);
    let block_at = row.error_at + (start - params.first) * width_of_errors();
    for (var k = start; k < stop; k++) {
      let at = row.w_at + k * params.outputs;
      var value = w[at];
      var error_at = block_at;
      var line = (row.line + start) * params.size + k;
      for (var j = start; j < k; j++) {
        value -= errors[error_at] * u[line];
        error_at += width_of_errors();
        line += params.size;
      }
      let removed = mask[at] == 0.0;
      w[at] = select(value, 0.0, removed);
      errors[error_at] = select(0.0, value / u[line], removed);
    }
  }
}
