// Activations.
//   y[i] = f(x[i])
// x, y: any shape. f is ACTIVATION: 1 relu, 2 leaky relu (slope below 0), 3 tanh, 4 sigmoid, 5 gelu (x Φ(x),
// with Φ the normal distribution: the erf form), 6 silu (x · sigmoid(x)). All of them finite for every finite
// x: nothing is raised to a power that may overflow. A NaN goes through all but tanh, whose clamp drops it.

// @constants
const ACTIVATION: u32 = 1u;
// @end

// Four elements an invocation; the host makes the form for sizes that 4 does not divide (f32).
alias Item = vec4f;

struct Params {
  count: u32,
  slope: f32,
}

@group(0) @binding(0) var<storage, read> x: array<Item>;
@group(0) @binding(1) var<storage, read_write> y: array<Item>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

// For |v| < 0.65 an odd polynomial fitted to tanh (relative error 7e-9), else 1 - 2 / (e^2|v| + 1).
fn hyperbolic_tangent(v: Item) -> Item {
  let size = min(abs(v), Item(15.0));
  let z = size * size;
  var p = fma(z, Item(-0.005515161902), Item(0.02046941780));
  p = fma(p, z, Item(-0.05368802324));
  p = fma(p, z, Item(0.1333083063));
  p = fma(p, z, Item(-0.3333325983));
  let near = fma(size * z, p, size);
  let far = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
  let result = select(far, near, size < Item(0.65));
  return select(result, -result, v < Item(0.0));
}

fn sigmoid(v: Item) -> Item {
  let e = exp(-select(abs(v), Item(200.0), abs(v) > Item(200.0)));
  return select(e, Item(1.0), v >= Item(0.0)) / (1.0 + e);
}

// Φ(v) = e^(-v²/2) t P(t) for v <= 0, with t = 1 / (1 + 0.35 |v|) and P fitted to a relative error of 3e-8.
fn normal_distribution(v: Item) -> Item {
  let size = min(abs(v), Item(20.0));
  let t = 1.0 / fma(size, Item(0.35), Item(1.0));
  var p = fma(t, Item(-0.02914566360), Item(0.1439705044));
  p = fma(p, t, Item(-0.2557119727));
  p = fma(p, t, Item(0.1591717750));
  p = fma(p, t, Item(-0.02310834080));
  p = fma(p, t, Item(0.1055074334));
  p = fma(p, t, Item(0.1198330000));
  p = fma(p, t, Item(0.1398618519));
  p = fma(p, t, Item(0.1396214068));
  let tail = exp(-0.5 * size * size) * p * t;
  return select(tail, 1.0 - tail, v > Item(0.0));
}

fn activate(v: Item) -> Item {
  switch ACTIVATION {
    case 1u: { return select(v, Item(0.0), v < Item(0.0)); }
    case 2u: { return select(params.slope * v, v, v > Item(0.0)); }
    case 3u: { return hyperbolic_tangent(v); }
    case 4u: { return sigmoid(v); }
    case 5u: { return v * normal_distribution(v); }
    default: { return v * sigmoid(v); }
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index < params.count) {
    y[index] = activate(x[index]);
  }
}
