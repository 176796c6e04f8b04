// Marks the `count` weights of each sample with the smallest scores, exactly: of equal scores the first ones, row by row.
//   score = w² · scale of its column;  mask = 0 if it is among the count smallest, else 1
// w, mask: [samples, groups, size, outputs], a column of the layer's matrix a row of w; scale: [samples, groups, size];
// counts: [samples, blocks], of which `block` is taken; only the columns from `first` to `end` take part.
// One workgroup a sample, the scores held in the mask meanwhile: a radix select by four digits of the score (not negative, so its bits order as it does), then,
// where ties are cut, by four digits of the place.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
// @end

struct Params {
  samples: u32,
  groups: u32,
  size: u32,
  outputs: u32,
  first: u32,
  end: u32,
  block: u32,
  blocks: u32,
}

@group(0) @binding(0) var<storage, read> w: array<f32>;
@group(0) @binding(1) var<storage, read> scale: array<f32>;
@group(0) @binding(2) var<storage, read> counts: array<u32>;
@group(0) @binding(3) var<storage, read_write> mask: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> bins: array<atomic<u32>, 256>;
var<workgroup> digit: u32;
var<workgroup> wanted: u32;
var<workgroup> ties: u32;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let sample = workgroup.x;
  let count = counts[sample * params.blocks + params.block];
  // The columns of a group lie side by side; a lane has the same entries in all passes.
  let entries = (params.end - params.first) * params.outputs;
  let step = params.size * params.outputs;
  let start = sample * params.groups * step + params.first * params.outputs;
  if (lane == 0u) { wanted = max(count, 1u); }
  for (var group = 0u; group < params.groups; group++) {
    let line = (sample * params.groups + group) * params.size + params.first;
    for (var index = lane; index < entries; index += WORKGROUP_SIZE) {
      let at = start + group * step + index;
      mask[at] = w[at] * w[at] * scale[line + index / params.outputs];
    }
  }
  var key = 0u;
  var known = 0u;
  for (var shift = 24; shift >= 0; shift -= 8) {
    for (var bin = lane; bin < 256u; bin += WORKGROUP_SIZE) { atomicStore(&bins[bin], 0u); }
    workgroupBarrier();
    for (var group = 0u; group < params.groups; group++) {
      for (var index = lane; index < entries; index += WORKGROUP_SIZE) {
        let own = bitcast<u32>(mask[start + group * step + index]);
        if ((own & known) == key) { atomicAdd(&bins[(own >> u32(shift)) & 255u], 1u); }
      }
    }
    workgroupBarrier();
    if (lane == 0u) { find_digit(); }
    key |= workgroupUniformLoad(&digit) << u32(shift);
    known |= 255u << u32(shift);
  }
  var place = 0xffffffffu;
  if (workgroupUniformLoad(&wanted) < workgroupUniformLoad(&ties)) {
    place = 0u;
    known = 0u;
    for (var shift = 24; shift >= 0; shift -= 8) {
      for (var bin = lane; bin < 256u; bin += WORKGROUP_SIZE) { atomicStore(&bins[bin], 0u); }
      workgroupBarrier();
      for (var group = 0u; group < params.groups; group++) {
        for (var index = lane; index < entries; index += WORKGROUP_SIZE) {
          if (bitcast<u32>(mask[start + group * step + index]) != key) { continue; }
          let own = place_of(group, index);
          if ((own & known) == place) { atomicAdd(&bins[(own >> u32(shift)) & 255u], 1u); }
        }
      }
      workgroupBarrier();
      if (lane == 0u) { find_digit(); }
      place |= workgroupUniformLoad(&digit) << u32(shift);
      known |= 255u << u32(shift);
    }
  }
  for (var group = 0u; group < params.groups; group++) {
    for (var index = lane; index < entries; index += WORKGROUP_SIZE) {
      let at = start + group * step + index;
      let own = bitcast<u32>(mask[at]);
      var removed = own < key;
      if (own == key) { removed = place_of(group, index) <= place; }
      mask[at] = select(1.0, 0.0, removed && count > 0u);
    }
  }
}

// Row by row.
fn place_of(group: u32, index: u32) -> u32 {
  let column = params.first + index / params.outputs;
  return (group * params.outputs + index % params.outputs) * params.size + column;
}

// The digit in whose bin number `wanted` is, how far into the bin it is, and how many are in it.
fn find_digit() {
  var left = wanted;
  var bin = 0u;
  var inside = atomicLoad(&bins[0]);
  while (left > inside && bin < 255u) {
    left -= inside;
    bin++;
    inside = atomicLoad(&bins[bin]);
  }
  digit = bin;
  wanted = left;
  ties = inside;
}
