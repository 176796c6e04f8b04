// Losses that compare each prediction with its own target, and their gradients.
//   losses[i] = f(predictions[i], targets[i]), gradient[i] = weight · ∂losses[i] / ∂predictions[i]
// All of one shape. f is LOSS: 0 binary cross-entropy of the logit z and the target t,
//   max(z, 0) - t z + log(1 + e^-|z|), with the gradient (1 - t) σ(z) - t σ(-z);
// 1 squared error, (z - t)², with the gradient 2 (z - t).

// @constants
const LOSS: u32 = 0u;
// @end

// Four elements an invocation; the host makes the form for sizes that 4 does not divide (f32).
alias Item = vec4f;

struct Params {
  count: u32,
  weight: f32,
}

@group(0) @binding(0) var<storage, read> predictions: array<Item>;
@group(0) @binding(1) var<storage, read> targets: array<Item>;
@group(0) @binding(2) var<storage, read_write> losses: array<Item>;
@group(0) @binding(3) var<storage, read_write> gradient: array<Item>;
@group(0) @binding(4) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

// log(1 + v) for v from 0 to 1: 2 artanh(s), s = v / (2 + v), to s^15. WGSL's own log may be far off near 1.
fn log_of_one_plus(v: Item) -> Item {
  let s = v / (2.0 + v);
  let z = s * s;
  var p = fma(z, Item(1.0 / 15.0), Item(1.0 / 13.0));
  p = fma(p, z, Item(1.0 / 11.0));
  p = fma(p, z, Item(1.0 / 9.0));
  p = fma(p, z, Item(1.0 / 7.0));
  p = fma(p, z, Item(1.0 / 5.0));
  p = fma(p, z, Item(1.0 / 3.0));
  return fma(2.0 * s * z, p, 2.0 * s);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.count) { return; }
  let v = predictions[index];
  let target_value = targets[index];
  if (LOSS == 0u) {
    let e = exp(-min(abs(v), Item(200.0)));
    let above = select(e, Item(1.0), v > Item(0.0)) / (1.0 + e);
    let below = select(Item(1.0), e, v > Item(0.0)) / (1.0 + e);
    // max(v, 0) - t v without its cancellation: (1 - t) v above 0, -t v below.
    let linear = select(-target_value * v, (1.0 - target_value) * v, v > Item(0.0));
    losses[index] = linear + log_of_one_plus(e);
    gradient[index] = params.weight * fma(1.0 - target_value, above, -target_value * below);
  } else {
    let difference = v - target_value;
    losses[index] = difference * difference;
    gradient[index] = (2.0 * params.weight) * difference;
  }
}
