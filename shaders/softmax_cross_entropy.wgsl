// Softmax, cross-entropy with class numbers, and the gradient of both, a sample an invocation.
//   losses[n] = -log p[n, labels[n]], dlogits[n, j] = weight (p[n, j] - (j == labels[n]))
//   p[n, j] = e^(logits[n, j] - m) / Σ over k of e^(logits[n, k] - m), m = max over k of logits[n, k]
// logits, dlogits: [samples, classes], labels: [samples], u32, losses: [samples]. A label that is no class
// makes the sample's loss and gradient NaN.

struct Params {
  samples: u32,
  classes: u32,
  weight: f32,
  nan_bits: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> losses: array<f32>;
@group(0) @binding(3) var<storage, read_write> dlogits: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
// Terms that are summed before they go into the total: the rounding error grows with the depth, not the
// length.
const BLOCK = 32u;

// log(1 + v) for v >= 0: near 0 by 2 artanh(s), s = v / (2 + v), since WGSL's log may be far off near 1.
fn log_of_one_plus(v: f32) -> f32 {
  if (v > 0.5) { return log(1.0 + v); }
  let s = v / (2.0 + v);
  let z = s * s;
  return 2.0 * s * (1.0 + z * (1.0 / 3.0 + z * (1.0 / 5.0 + z * (1.0 / 7.0 + z * (1.0 / 9.0)))));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let sample = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (sample >= params.samples) { return; }
  let start = sample * params.classes;
  let label = labels[sample];
  if (label >= params.classes) {
    losses[sample] = bitcast<f32>(params.nan_bits);
    for (var j = 0u; j < params.classes; j++) {
      dlogits[start + j] = bitcast<f32>(params.nan_bits);
    }
    return;
  }

  var largest = logits[start];
  for (var j = 1u; j < params.classes; j++) {
    largest = max(largest, logits[start + j]);
  }
  // The label's own term stays out of the sum: where it is nearly all of it, what is left keeps its digits,
  // in the loss log(1 + rest / own) as in the gradient -rest / (own + rest).
  let behind = largest - logits[start + label];
  let own = exp(-behind);
  var rest = 0.0;
  for (var first = 0u; first < params.classes; first += BLOCK) {
    var part = 0.0;
    for (var j = first; j < min(first + BLOCK, params.classes); j++) {
      let e = exp(logits[start + j] - largest);
      dlogits[start + j] = e;
      part += select(e, 0.0, j == label);
    }
    rest += part;
  }
  if (behind == 0.0) {
    losses[sample] = log_of_one_plus(rest);
  } else {
    losses[sample] = behind + log(own + rest);
  }
  let scale = params.weight / (own + rest);
  for (var j = 0u; j < params.classes; j++) {
    dlogits[start + j] *= scale;
  }
  dlogits[start + label] = -rest * scale;
}
