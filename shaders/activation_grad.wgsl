// Gradients of activations, from a tensor that the forward pass kept.
//   dx[i] = dy[i] · f'(i)
// dy, kept, dx: any shape. kept is the output of the forward pass for ACTIVATION 1 relu, 2 leaky relu, 3 tanh
// and 4 sigmoid, and its input for 5 gelu and 6 silu. relu's derivative at 0 is 0, leaky relu's is the slope.
//   relu: kept > 0; tanh: 1 - kept²; sigmoid: kept (1 - kept); gelu: Φ(x) + x φ(x); silu: s + x s (1 - s),
//   with Φ and φ the normal distribution and density and s = sigmoid(x)

// @constants
const ACTIVATION: u32 = 1u;
// @end

// Four elements an invocation; the host makes the form for sizes that 4 does not divide (f32).
alias Item = vec4f;

struct Params {
  count: u32,
  slope: f32,
}

@group(0) @binding(0) var<storage, read> dy: array<Item>;
@group(0) @binding(1) var<storage, read> kept: array<Item>;
@group(0) @binding(2) var<storage, read_write> dx: array<Item>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

// Φ + v φ; the tail of Φ as in activation.wgsl, e^(-v²/2) t P(t) with t = 1 / (1 + 0.35 |v|).
fn gelu_derivative(v: Item) -> Item {
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
  let e = exp(-0.5 * size * size);
  let tail = e * p * t;
  let slope = 0.3989422804 * size * e;
  return select(tail - slope, (1.0 - tail) + slope, v > Item(0.0));
}

fn silu_derivative(v: Item) -> Item {
  let e = exp(-min(abs(v), Item(200.0)));
  let s = select(e, Item(1.0), v >= Item(0.0)) / (1.0 + e);
  let rest = select(Item(1.0), e, v >= Item(0.0)) / (1.0 + e);
  return fma(v * s, rest, s);
}

fn derivative(v: Item) -> Item {
  switch ACTIVATION {
    case 1u: { return select(Item(0.0), Item(1.0), v > Item(0.0)); }
    case 2u: { return select(Item(params.slope), Item(1.0), v > Item(0.0)); }
    case 3u: { return (1.0 - v) * (1.0 + v); }
    case 4u: { return v * (1.0 - v); }
    case 5u: { return gelu_derivative(v); }
    default: { return silu_derivative(v); }
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index < params.count) {
    dx[index] = dy[index] * derivative(kept[index]);
  }
}
