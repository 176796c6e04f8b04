// Scores of rows of logits that rise with how sure the classifier is, and their gradients.
//   p = argmax z (the first of equals), m = z_p, and j runs over the other classes
//   SCORE 0, odds     m - T ln mean_j e^(z_j / T): T ln(P / (1 - P)) + T ln(classes - 1) with P the softmax
//                     probability of p at temperature T, so 0 where all are equally likely
//   SCORE 1, maximum  m
//   SCORE 2, energy   T ln sum_i e^(z_i / T), p among them
//   SCORE 3, entropy  -ln H, H = -sum_i P_i ln P_i
// Odds and entropy are the usual P and -H on a scale where nothing saturates: e^(rival - m), which
// underflows for a sure network, is divided out before a logarithm is taken or a gradient is made.
// For large T the odds lose no digits: with u_j = (z_j - mu) / T, mu = mean_j z_j,
//   T ln mean_j e^(z_j / T) = mu + T ln(1 + mean_j (e^(u_j) - 1 - u_j))
// logits, slopes (= dscore/dlogits): [n, classes]; score: [n]. One invocation a row.

// @constants
const SCORE: u32 = 0u;
// @end

struct Params {
  count: u32,
  classes: u32,
  temperature: f32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> score: array<f32>;
@group(0) @binding(2) var<storage, read_write> slopes: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
const ODDS = 0u;
const MAXIMUM = 1u;
const ENERGY = 2u;
// Below it e^u - 1 - u is its series.
const SMALL = 0.5;

// ln(1 + v) for v >= 0: near 0 by 2 artanh(s), s = v / (2 + v), since WGSL's log may be far off near 1.
fn log_of_one_plus(v: f32) -> f32 {
  if (v > 0.5) { return log(1.0 + v); }
  let s = v / (2.0 + v);
  let z = s * s;
  return 2.0 * s * (1.0 + z * (1.0 / 3.0 + z * (1.0 / 5.0 + z * (1.0 / 7.0 + z * (1.0 / 9.0)))));
}

// e^u - 1 - u for |u| <= SMALL.
fn beyond_linear(u: f32) -> f32 {
  let tail = 1.0 + u / 6.0 * (1.0 + u / 7.0 * (1.0 + u / 8.0));
  return 0.5 * u * u * (1.0 + u / 3.0 * (1.0 + u / 4.0 * (1.0 + u / 5.0 * tail)));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let row = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (row >= params.count) { return; }
  let first = row * params.classes;
  let end = first + params.classes;
  let t = params.temperature;
  let others = f32(params.classes - 1u);

  var peak = first;
  for (var i = first + 1u; i < end; i++) {
    if (logits[i] > logits[peak]) { peak = i; }
  }
  var rival = select(first, first + 1u, peak == first);
  var mean = 0.0;
  for (var i = first; i < end; i++) {
    if (i == peak) { continue; }
    if (logits[i] > logits[rival]) { rival = i; }
    mean += (logits[i] - logits[peak]) / others;
  }
  let m = logits[peak];
  let r = logits[rival];

  if (SCORE == MAXIMUM) {
    for (var i = first; i < end; i++) { slopes[i] = select(0.0, 1.0, i == peak); }
    score[row] = m;
    return;
  }

  if (SCORE == ENERGY) {
    var rest = 0.0;
    for (var i = first; i < end; i++) {
      if (i != peak) { rest += exp((logits[i] - m) / t); }
    }
    for (var i = first; i < end; i++) {
      slopes[i] = select(exp((logits[i] - m) / t), 1.0, i == peak) / (1.0 + rest);
    }
    score[row] = m + t * log_of_one_plus(rest);
    return;
  }

  // Relative to the rival, so that the sum over the others is at least 1.
  var sum = 0.0;
  var widest = 0.0;
  for (var i = first; i < end; i++) {
    if (i == peak) { continue; }
    sum += exp((logits[i] - r) / t);
    widest = max(widest, abs((logits[i] - m - mean) / t));
  }

  if (SCORE == ODDS) {
    for (var i = first; i < end; i++) {
      slopes[i] = select(-exp((logits[i] - r) / t) / sum, 1.0, i == peak);
    }
    if (widest <= SMALL) {
      var beyond = 0.0;
      for (var i = first; i < end; i++) {
        if (i != peak) { beyond += beyond_linear((logits[i] - m - mean) / t) / others; }
      }
      score[row] = -mean - t * log_of_one_plus(beyond);
    } else {
      score[row] = (m - r) - t * (log(sum) - log(others));
    }
    return;
  }

  // H = e^(r - m) b, P_j = e^(r - m) e^(z_j - r) / (1 + rest), and e^(r - m) cancels in P_j / H.
  let rest = exp(r - m) * sum;
  let log_z = log_of_one_plus(rest);
  var b = sum * select(1.0 - 0.5 * rest, log_z / rest, rest > 1e-6);
  for (var i = first; i < end; i++) {
    if (i != peak) { b += exp(logits[i] - r) * (m - logits[i]) / (1.0 + rest); }
  }
  let entropy = exp(r - m) * b;
  var balance = 0.0;
  for (var i = first; i < end; i++) {
    if (i == peak) { continue; }
    let slope = exp(logits[i] - r) / ((1.0 + rest) * b) * (logits[i] - m - log_z + entropy);
    slopes[i] = slope;
    balance += slope;
  }
  slopes[peak] = -balance;
  score[row] = (m - r) - log(b);
}
