// The payment that a neuron would see if it measured its own attention: how fast the attention it holds grows when its
// receivers' weights shift along their payoff gradients. Attention is quadratic, so a central difference of any size is
// exact; t is taken as large as the weights, where float32 loses least.
//   q[s, i] = (A_i(w + t g[s]) − A_i(w − t g[s])) / (2 t),   A_i(w) = ½ Σ_j w[i, j]²,   t = ‖w[i]‖ / ‖g[s]‖
// w: [units, receivers] (row i: the outgoing weights of neuron i), g: [samples, receivers], q: [samples, units].
// No product w · g is formed anywhere: only attention itself is looked at. This is a measurement, not a fast path.

struct Params {
  samples: u32,
  units: u32,
  receivers: u32,
}

@group(0) @binding(0) var<storage, read> w: array<f32>;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read_write> q: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.samples * params.units) { return; }
  let w_row = (index % params.units) * params.receivers;
  let g_row = (index / params.units) * params.receivers;

  var w_square = 0.0;
  var g_square = 0.0;
  for (var j = 0u; j < params.receivers; j++) {
    let weight = w[w_row + j];
    let gradient = g[g_row + j];
    w_square = fma(weight, weight, w_square);
    g_square = fma(gradient, gradient, g_square);
  }
  // A neuron without weights, or one whose receivers ask for nothing, sees no growth.
  if (w_square == 0.0 || g_square == 0.0) {
    q[index] = 0.0;
    return;
  }
  let t = sqrt(w_square) / sqrt(g_square);

  var grown = 0.0;
  var shrunk = 0.0;
  for (var j = 0u; j < params.receivers; j++) {
    let weight = w[w_row + j];
    let shift = t * g[g_row + j];
    grown = fma(weight + shift, weight + shift, grown);
    shrunk = fma(weight - shift, weight - shift, shrunk);
  }
  q[index] = (0.5 * grown - 0.5 * shrunk) / (2.0 * t);
}
