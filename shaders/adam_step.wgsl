// One step of Adam (Kingma and Ba 2014) or AdamW (Loshchilov and Hutter 2017), in place.
//   decoupled: parameter *= 1 - rate * weight_decay, g = gradient; else g = gradient + weight_decay * parameter
//   first += (1 - beta1) (g - first),  second += (1 - beta2) (g^2 - second)
//   parameter -= rate * (first / (1 - beta1^t)) / (sqrt(second / (1 - beta2^t)) + eps)
// parameter, gradient, first, second: any shape; step: [1], t, the number of this step from 1; learning_rate:
// [1], the rate if `scheduled`, else params.rate. Powers come in as logarithms: 1 - beta^t loses its digits
// otherwise.

// Four elements at a time; the host makes the form for sizes that 4 does not divide (f32).
alias Item = vec4f;

struct Params {
  count: u32,
  scheduled: u32,
  decoupled: u32,
  rate: f32,
  rest1: f32, // 1 - beta1
  rest2: f32,
  log_beta1: f32,
  log_beta2: f32,
  eps: f32,
  weight_decay: f32,
}

@group(0) @binding(0) var<storage, read> gradient: array<Item>;
@group(0) @binding(1) var<storage, read> step: array<u32>;
@group(0) @binding(2) var<storage, read> learning_rate: array<f32>;
@group(0) @binding(3) var<storage, read_write> parameter: array<Item>;
@group(0) @binding(4) var<storage, read_write> first: array<Item>;
@group(0) @binding(5) var<storage, read_write> second: array<Item>;
@group(0) @binding(6) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

// 1 - e^x for x <= 0 with a relative error of a few 1e-7: the Taylor series for x / 64, and 1 - e^2y = (1 - e^y)(1 + e^y)
// to get back. Without a branch or a loop, since every invocation computes it.
fn one_minus_exp(x: f32) -> f32 {
  let y = max(x, -32.0) / 64.0;
  var series = fma(y, 1.0 / 40320.0, 1.0 / 5040.0);
  series = fma(y, series, 1.0 / 720.0);
  series = fma(y, series, 1.0 / 120.0);
  series = fma(y, series, 1.0 / 24.0);
  series = fma(y, series, 1.0 / 6.0);
  series = fma(y, series, 0.5);
  series = fma(y, series, 1.0);
  let r1 = -y * series;
  let r2 = r1 * (2.0 - r1);
  let r4 = r2 * (2.0 - r2);
  let r8 = r4 * (2.0 - r4);
  let r16 = r8 * (2.0 - r8);
  let r32 = r16 * (2.0 - r16);
  return r32 * (2.0 - r32);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  var rate = params.rate;
  if (params.scheduled == 1u) { rate = learning_rate[0]; }
  let t = f32(max(step[0], 1u));
  let step_size = rate / one_minus_exp(t * params.log_beta1);
  let second_scale = inverseSqrt(one_minus_exp(t * params.log_beta2));
  let coupled_decay = select(params.weight_decay, 0.0, params.decoupled == 1u);
  let decoupled_decay = select(0.0, rate * params.weight_decay, params.decoupled == 1u);

  let stride = groups.x * groups.y * WORKGROUP_SIZE;
  for (var i = id.x + id.y * groups.x * WORKGROUP_SIZE; i < params.count; i += stride) {
    let p = parameter[i];
    let g = gradient[i] + coupled_decay * p;
    var m = first[i];
    var v = second[i];
    m += params.rest1 * (g - m);
    v += params.rest2 * (g * g - v);
    first[i] = m;
    second[i] = v;
    parameter[i] = (p - decoupled_decay * p) - step_size * m / (sqrt(v) * second_scale + params.eps);
  }
}
