// Losses of a classifier that an attack raises, for each sample, with their gradients and whether the sample
// is lost. z: a row of logits, sorted z_(1) >= z_(2) >= ...; y its label; t its target, if there is one.
//   LOSS 0, cross-entropy  ln sum_j exp(z_j - z_y)
//                targeted  -ln sum_j exp(z_j - z_t)
//   LOSS 1, margin         max_{j != y} z_j - z_y
//                targeted  z_t - max_{j != t} z_j
//   LOSS 2, difference of logits ratio (F. Croce and M. Hein, ICML 2020)
//                          -(z_y - max_{j != y} z_j) / (z_(1) - z_(3))
//                targeted  -(z_y - z_t) / (z_(1) - (z_(3) + z_(4)) / 2)
//   success: some other class is above y; targeted: t is above all other classes, unless ANY_CLASS
// logits, dlogits: [n, classes]; labels, targets, loss, success: [n]. A label or target that is no class
// gives NaN. One invocation a sample.
// Cross-entropy keeps its size where the probability rounds to 1: the log of 1 + s is a series for small s,
// and the gradient of class y is the sum of the others, not a difference to 1.

// @constants
const LOSS: u32 = 0u;
const HAS_LABELS: bool = true;
const HAS_TARGETS: bool = false;
const ANY_CLASS: bool = false;
// @end

struct Params {
  count: u32,
  classes: u32,
  nan_bits: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> success: array<u32>;
@group(0) @binding(5) var<storage, read_write> dlogits: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
const CROSS_ENTROPY = 0u;
const MARGIN = 1u;
const LOWEST = -3.4028234e38;
const NOBODY = 0xffffffffu;
// Keeps a ratio of two zeros from being NaN.
const TINY = 1e-12;

// ln(1 + s) to a few units in the last place for s >= 0.
fn log_plus_one(s: f32) -> f32 {
  if (s > 0.02) { return log(1.0 + s); }
  return s * (1.0 - s * (0.5 - s * (0.3333333433 - s * (0.25 - s * 0.2))));
}

// The class, up to `end`, with the largest logit but one.
fn largest_but(first: u32, end: u32, left_out: u32) -> u32 {
  var found = NOBODY;
  for (var i = first; i < end; i++) {
    if (i != left_out && (found == NOBODY || logits[i] > logits[found])) { found = i; }
  }
  return found;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let row = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (row >= params.count) { return; }
  let first = row * params.classes;
  let end = first + params.classes;
  // The class that counts (label, or target), and the largest of the others.
  var own = first;
  if (HAS_LABELS) { own = first + labels[row]; }
  var chosen = own;
  if (HAS_TARGETS) { chosen = first + targets[row]; }
  if (own >= end || own < first || chosen >= end || chosen < first) {
    for (var i = first; i < end; i++) { dlogits[i] = 0.0; }
    loss[row] = bitcast<f32>(params.nan_bits);
    success[row] = 0u;
    return;
  }
  let rival = largest_but(first, end, chosen);
  let ahead = logits[rival] - logits[chosen];
  var hit = select(ahead > 0.0, ahead < 0.0, HAS_TARGETS);
  if (HAS_TARGETS && ANY_CLASS) { hit = logits[largest_but(first, end, own)] > logits[own]; }
  success[row] = select(0u, 1u, hit);
  let up = select(1.0, -1.0, HAS_TARGETS);

  if (LOSS == CROSS_ENTROPY) {
    // Everything relative to the rival, so that the sum over the others is at least 1.
    var others = 0.0;
    for (var i = first; i < end; i++) {
      if (i != chosen) { others += exp(logits[i] - logits[rival]); }
    }
    var value = 0.0;
    var share = 0.0;
    if (ahead > 0.0) {
      let back = exp(-ahead);
      value = ahead + log(others + back);
      share = 1.0 / (others + back);
    } else {
      let small = exp(ahead);
      value = log_plus_one(small * others);
      share = small / (1.0 + small * others);
    }
    for (var i = first; i < end; i++) {
      if (i != chosen) { dlogits[i] = up * share * exp(logits[i] - logits[rival]); }
    }
    dlogits[chosen] = -up * share * others;
    loss[row] = up * value;
    return;
  }

  for (var i = first; i < end; i++) { dlogits[i] = 0.0; }
  if (LOSS == MARGIN) {
    loss[row] = up * ahead;
    dlogits[rival] = up;
    dlogits[chosen] = -up;
    return;
  }

  // The four largest logits, equals in their order.
  var top = vec4u(NOBODY);
  var most = vec4f(LOWEST);
  for (var i = first; i < end; i++) {
    let z = logits[i];
    if (top.x == NOBODY || z > most.x) {
      top = vec4u(i, top.xyz);
      most = vec4f(z, most.xyz);
    } else if (top.y == NOBODY || z > most.y) {
      top = vec4u(top.x, i, top.yz);
      most = vec4f(most.x, z, most.yz);
    } else if (top.z == NOBODY || z > most.z) {
      top = vec4u(top.xy, i, top.z);
      most = vec4f(most.xy, z, most.z);
    } else if (top.w == NOBODY || z > most.w) {
      top.w = i;
      most.w = z;
    }
  }
  let other = select(rival, chosen, HAS_TARGETS);
  let above = logits[other] - logits[own];
  let third = select(most.z, 0.5 * (most.z + most.w), HAS_TARGETS);
  let spread = most.x - third + TINY;
  let ratio = above / spread;
  loss[row] = ratio;
  dlogits[other] += 1.0 / spread;
  dlogits[own] -= 1.0 / spread;
  dlogits[top.x] -= ratio / spread;
  if (HAS_TARGETS) {
    dlogits[top.z] += 0.5 * ratio / spread;
    dlogits[top.w] += 0.5 * ratio / spread;
  } else {
    dlogits[top.z] += ratio / spread;
  }
}
