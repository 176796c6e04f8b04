// The learning rate of the coming update, and the count of updates one further.
//   n = step,  learning_rate = rise(n) for n <= rise_steps, else fall(n),  step = n + 1
// rise: 0 none, 1 linear, 2 half a cosine from `start` to `peak`. fall: 0 none (the rate stays at `peak`), 1
// half a cosine from `peak` at `fall_from` to `end`, reached `fall_steps` later and kept, 2 peak *
// gamma^floor(n / every). step, learning_rate: [1].

struct Params {
  rise: u32,
  fall: u32,
  every: u32,
  rise_steps: f32,
  fall_from: f32,
  fall_steps: f32,
  start: f32,
  peak: f32,
  end: f32,
  log_gamma: f32,
}

@group(0) @binding(0) var<storage, read_write> step: array<u32>;
@group(0) @binding(1) var<storage, read_write> learning_rate: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

// sin(t pi/2) for t in [0, 1]: the Taylor polynomial, whose next term is below 6e-10. Its square is half a
// cosine: (1 - cos(pi t)) / 2.
fn quarter_sine(t: f32) -> f32 {
  let q = t * t;
  let tail = -0.00468175413532 + q * (1.60441184787e-4 + q * (-3.598843235e-6 + q * 5.692172920e-8));
  return t * (1.570796326795 + q * (-0.645964097506 + q * (0.0796926262462 + q * tail)));
}

// e^x to a few units in the last place, 0 below what a normal f32 holds; WGSL's own may be wrong by 1e-5 for
// large x.
fn accurate_exp(x: f32) -> f32 {
  let y = clamp(x, -87.0, 88.0);
  let halvings = round(y * 1.442695041);
  let r = (y - halvings * 0.693359375) + halvings * 2.12194440e-4;
  var series = 1.0 + r / 8.0;
  for (var n = 7.0; n > 0.0; n -= 1.0) { series = 1.0 + series * r / n; }
  return select(ldexp(series, i32(halvings)), 0.0, x < -87.0);
}

@compute @workgroup_size(1)
fn main() {
  let count = step[0];
  let n = f32(count);
  step[0] = count + 1u;
  var rate = params.peak;
  if (params.rise > 0u && n <= params.rise_steps) {
    let share = n / params.rise_steps;
    let sine = quarter_sine(share);
    rate = params.start + (params.peak - params.start) * select(share, sine * sine, params.rise == 2u);
  } else if (params.fall == 1u) {
    let left = clamp((params.fall_from + params.fall_steps - n) / params.fall_steps, 0.0, 1.0);
    let sine = quarter_sine(left);
    rate = params.end + (params.peak - params.end) * sine * sine;
  } else if (params.fall == 2u) {
    rate = params.peak * accurate_exp(params.log_gamma * f32(count / params.every));
  }
  learning_rate[0] = rate;
}
