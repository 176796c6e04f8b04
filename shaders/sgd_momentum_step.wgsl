// One step of stochastic gradient descent with momentum, in place.
//   g = gradient + weight_decay * parameter
//   velocity = momentum * velocity + g
//   parameter -= rate * (nesterov ? g + momentum * velocity : velocity)
// parameter, gradient, velocity: any shape; learning_rate: [rates], each for an equal part of the parameter; without
// (rates 0) params.rate is for all.

// Four elements at a time; the host makes the form for sizes that 4 does not divide (f32).
alias Item = vec4f;

struct Params {
  count: u32,
  rates: u32,
  nesterov: u32,
  rate: f32,
  momentum: f32,
  weight_decay: f32,
}

@group(0) @binding(0) var<storage, read> gradient: array<Item>;
@group(0) @binding(1) var<storage, read> learning_rate: array<f32>;
@group(0) @binding(2) var<storage, read_write> parameter: array<Item>;
@group(0) @binding(3) var<storage, read_write> velocity: array<Item>;
@group(0) @binding(4) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let own = params.count / max(params.rates, 1u);
  let step = groups.x * groups.y * WORKGROUP_SIZE;
  for (var i = id.x + id.y * groups.x * WORKGROUP_SIZE; i < params.count; i += step) {
    var rate = params.rate;
    if (params.rates > 0u) { rate = learning_rate[i / own]; }
    let p = parameter[i];
    let g = gradient[i] + params.weight_decay * p;
    let v = params.momentum * velocity[i] + g;
    velocity[i] = v;
    parameter[i] = p - rate * select(v, g + params.momentum * v, params.nesterov == 1u);
  }
}
