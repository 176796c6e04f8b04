// OpenMax (A. Bendale and T. Boult, CVPR 2016) as a score of logits z, and its gradient.
//   d_c = |z - mean_c|,  W_c = 1 - e^(-(d_c / scale_c)^shape_c): how far out z is for class c
//   w_c = W_c (alpha - rank_c) / alpha for the alpha largest logits (rank from 0), 0 for the others
//   known_c = z_c (1 - w_c),  unknown = sum_c z_c w_c
//   score = ln sum_c e^known_c - unknown: the log-odds that the class is none of the unknown
// logits, known (scratch), slopes (= dscore/dlogits): [n, classes]; means: [classes, classes]; tails:
// [classes, 2], shape and scale; score: [n]. One invocation a row.

struct Params {
  count: u32,
  classes: u32,
  alpha: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> means: array<f32>;
@group(0) @binding(2) var<storage, read> tails: array<f32>;
@group(0) @binding(3) var<storage, read_write> score: array<f32>;
@group(0) @binding(4) var<storage, read_write> known: array<f32>;
@group(0) @binding(5) var<storage, read_write> slopes: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
// Keeps the direction of a distance of 0 from being NaN.
const TINY = 1e-12;

fn distance_to(first: u32, mean: u32) -> f32 {
  var total = 0.0;
  for (var i = 0u; i < params.classes; i++) {
    let rest = logits[first + i] - means[mean + i];
    total += rest * rest;
  }
  return sqrt(total);
}

// The share of a class that is taken away at most: by its rank among the logits, equals in their order.
fn weight_of(first: u32, class_number: u32) -> f32 {
  let z = logits[first + class_number];
  var rank = 0u;
  for (var i = 0u; i < params.classes; i++) {
    let other = logits[first + i];
    if (other > z || (other == z && i < class_number)) { rank++; }
  }
  return f32(params.alpha - min(rank, params.alpha)) / f32(params.alpha);
}

// (d / scale)^shape, with 0 for d = 0.
fn depth_of(distance: f32, class_number: u32) -> f32 {
  return exp(tails[2u * class_number] * log(max(distance, TINY) / tails[2u * class_number + 1u]));
}

// 1 - e^(-v) for v >= 0, with its digits where v is small.
fn one_minus_exp(v: f32) -> f32 {
  if (v > 0.1) { return 1.0 - exp(-v); }
  return v * (1.0 - v * (0.5 - v * (1.0 / 6.0 - v * (1.0 / 24.0 - v / 120.0))));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let row = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (row >= params.count) { return; }
  let classes = params.classes;
  let first = row * classes;

  var unknown = 0.0;
  var largest = 0.0;
  for (var c = 0u; c < classes; c++) {
    let z = logits[first + c];
    let taken = weight_of(first, c) * one_minus_exp(depth_of(distance_to(first, c * classes), c));
    unknown += z * taken;
    let kept = z * (1.0 - taken);
    known[first + c] = kept;
    largest = select(max(largest, kept), kept, c == 0u);
  }
  var sum = 0.0;
  for (var c = 0u; c < classes; c++) { sum += exp(known[first + c] - largest); }
  score[row] = largest + log(sum) - unknown;

  for (var i = 0u; i < classes; i++) { slopes[first + i] = 0.0; }
  for (var c = 0u; c < classes; c++) {
    let z = logits[first + c];
    let share = exp(known[first + c] - largest) / sum;
    let weight = weight_of(first, c);
    let distance = max(distance_to(first, c * classes), TINY);
    let depth = depth_of(distance, c);
    let taken = weight * one_minus_exp(depth);
    slopes[first + c] += share * (1.0 - taken) - taken;
    // dW/dd = e^(-depth) shape depth / d; the direction of d is (z - mean) / d.
    let far = exp(-depth) * depth * tails[2u * c] / distance;
    let pull = -z * weight * (1.0 + share) * far / distance;
    for (var i = 0u; i < classes; i++) {
      slopes[first + i] += pull * (logits[first + i] - means[c * classes + i]);
    }
  }
}
