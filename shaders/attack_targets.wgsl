// Chooses the class that each sample is to be taken for.
//   CHOICE 0: the class of a rank among those that are not the label: 1 is the most likely; rank 0 stands for
//             1 + draw mod (classes - 1)
//   CHOICE 1: any class but the label, by the word philox(0, stream, samples[row], draw)
// logits: [n, classes]; labels, samples, targets: [n]; draw: [1]. One invocation a sample.

// @constants
const CHOICE: u32 = 0u;
const HAS_SAMPLES: bool = true;
const HAS_DRAW: bool = true;
// @end

struct Params {
  count: u32,
  classes: u32,
  rank: u32,
  stream: u32,
  key_low: u32,
  key_high: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> samples: array<u32>;
@group(0) @binding(3) var<storage, read> draw: array<u32>;
@group(0) @binding(4) var<storage, read_write> targets: array<u32>;
@group(0) @binding(5) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

// The upper word of a 64-bit product, which WGSL does not have, from 16-bit halves.
fn multiply_high(a: u32, b: u32) -> u32 {
  let a_low = a & 0xffffu;
  let a_high = a >> 16u;
  let b_low = b & 0xffffu;
  let b_high = b >> 16u;
  let middle = a_high * b_low + ((a_low * b_low) >> 16u);
  let carry = a_low * b_high + (middle & 0xffffu);
  return a_high * b_high + (middle >> 16u) + (carry >> 16u);
}

// Philox4x32-10 (Salmon, Moraes, Dror and Shaw, SC 2011).
fn philox(counter: vec4u, key: vec2u) -> vec4u {
  var words = counter;
  var round_key = key;
  for (var round = 0u; round < 10u; round++) {
    let high_x = multiply_high(0xd2511f53u, words.x);
    let high_z = multiply_high(0xcd9e8d57u, words.z);
    let low_x = 0xd2511f53u * words.x;
    let low_z = 0xcd9e8d57u * words.z;
    words = vec4u(high_z ^ words.y ^ round_key.x, low_z, high_x ^ words.w ^ round_key.y, low_x);
    round_key += vec2u(0x9e3779b9u, 0xbb67ae85u);
  }
  return words;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let row = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (row >= params.count) { return; }
  let label = labels[row];
  let choices = params.classes - 1u;
  var round = 0u;
  if (HAS_DRAW) { round = draw[0]; }
  if (CHOICE == 1u) {
    var sample = row;
    if (HAS_SAMPLES) { sample = samples[row]; }
    let word = philox(vec4u(0u, params.stream, sample, round), vec2u(params.key_low, params.key_high)).x;
    let choice = multiply_high(word, choices);
    targets[row] = choice + select(0u, 1u, choice >= label);
    return;
  }
  let rank = select(params.rank, 1u + round % choices, params.rank == 0u);
  let first = row * params.classes;
  // The class that has rank - 1 others before it, equals in their order.
  var found = select(0u, 1u, label == 0u);
  for (var class_index = 0u; class_index < params.classes; class_index++) {
    if (class_index == label) { continue; }
    let z = logits[first + class_index];
    var before = 0u;
    for (var other = 0u; other < params.classes; other++) {
      let rival = logits[first + other];
      if (other != label && (rival > z || (rival == z && other < class_index))) { before++; }
    }
    if (before + 1u == rank) { found = class_index; }
  }
  targets[row] = found;
}
