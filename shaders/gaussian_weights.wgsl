// The weights of a Gaussian blur.
//   weights[t] = e^(-(t - radius)^2 / (2 sigma^2)) / Σ_t (the same)
// weights: [2 radius + 1]. Every invocation adds up the sum for itself.

struct Params {
  radius: u32,
  sigma: f32,
}

@group(0) @binding(0) var<storage, read_write> weights: array<f32>;
@group(0) @binding(1) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

// e^x for x <= 0, to a few units in the last place.
fn accurate_exp(x: f32) -> f32 {
  let halvings = round(max(x, -87.0) * 1.442695041);
  let r = (max(x, -87.0) - halvings * 0.693359375) + halvings * 2.12194440e-4;
  var series = 1.0 + r / 8.0;
  for (var n = 7.0; n > 0.0; n -= 1.0) { series = 1.0 + series * r / n; }
  return select(ldexp(series, i32(halvings)), 0.0, x < -87.0);
}

fn bell(distance: u32) -> f32 {
  let z = f32(distance) / params.sigma;
  return accurate_exp(-0.5 * z * z);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let radius = params.radius;
  if (id.x > 2u * radius) { return; }
  var sum = 0.0;
  for (var distance = radius; distance > 0u; distance--) {
    sum += 2.0 * bell(distance);
  }
  sum += 1.0;
  let own = max(id.x, radius) - min(id.x, radius);
  weights[id.x] = bell(own) / sum;
}
