// What a neuron of the last hidden layer sees if it knows how its receivers answer: growth of its attention is
// h · Σ_j w_j g_j(h), and g = onehot - p falls as h rises. As a cost (minus the payoff), with the mean over samples:
//   q[s, i] = Σ_j w[i, j] · signal[s, j] + h[s, i] · Var_p(w[i, ·]) / samples,   p = softmax(logits[s, ·])
// w: [units, classes], signal (∂L/∂logits), probabilities p: [samples, classes], h and q: [samples, units].

struct Params {
  samples: u32,
  units: u32,
  classes: u32,
}

@group(0) @binding(0) var<storage, read> w: array<f32>;
@group(0) @binding(1) var<storage, read> signal: array<f32>;
@group(0) @binding(2) var<storage, read> probabilities: array<f32>;
@group(0) @binding(3) var<storage, read> h: array<f32>;
@group(0) @binding(4) var<storage, read_write> q: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.samples * params.units) { return; }
  let w_row = (index % params.units) * params.classes;
  let row = (index / params.units) * params.classes;
  var paid = 0.0;
  var mean = 0.0;
  for (var j = 0u; j < params.classes; j++) {
    paid = fma(w[w_row + j], signal[row + j], paid);
    mean = fma(w[w_row + j], probabilities[row + j], mean);
  }
  var variance = 0.0;
  for (var j = 0u; j < params.classes; j++) {
    let apart = w[w_row + j] - mean;
    variance = fma(probabilities[row + j], apart * apart, variance);
  }
  q[index] = paid + h[index] * variance / f32(params.samples);
}
