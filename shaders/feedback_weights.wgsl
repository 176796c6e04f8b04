// Feedback weights F(W) on their own, for convolutions (whose weights are small beside what they are applied to), for
// ensembles and for measuring them.
//   f[e] = scale · marginal[sender(e)] · F(w[e])
// w, other, f: [units, receivers], or [receivers, senders, kh, kw]; totals: [receivers], factor: [1], marginal: [senders].
// sender(e) = e / sender_step mod senders, receiver(e) = e / receiver_step mod receivers.
// Of an ensemble all have the members as their first dimension (factor: [members]); `own` elements of w are a member's.
// F by TRANSFORM as in payment.wgsl: 0 w, 1 sign(w), 2 sign(w) √|w|, 3 w |w|, 4 w³, 5 sign(w) |w|^exponent,
// 6 2 w (1 - w² / total) / total, 7 w - horizon · factor · other, 8 sign(w) |other|.
// scale is factor, which TRANSFORM 7 uses as the learning rate instead.

// @constants
const TRANSFORM: u32 = 0u;
const HAS_OTHER: bool = false;
const HAS_TOTALS: bool = false;
const HAS_FACTOR: bool = false;
const HAS_MARGINAL: bool = false;
// @end

struct Params {
  count: u32,
  own: u32,
  senders: u32,
  sender_step: u32,
  receivers: u32,
  receiver_step: u32,
  exponent: f32,
  horizon: f32,
}

@group(0) @binding(0) var<storage, read> w: array<f32>;
@group(0) @binding(1) var<storage, read> other: array<f32>;
@group(0) @binding(2) var<storage, read> totals: array<f32>;
@group(0) @binding(3) var<storage, read> factor: array<f32>;
@group(0) @binding(4) var<storage, read> marginal: array<f32>;
@group(0) @binding(5) var<storage, read_write> f: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

fn feedback(v: f32, o: f32, total: f32, step: f32) -> f32 {
  switch TRANSFORM {
    case 1u: { return sign(v); }
    case 2u: { return sign(v) * sqrt(abs(v)); }
    case 3u: { return v * abs(v); }
    case 4u: { return v * v * v; }
    case 5u: { return sign(v) * pow(abs(v), params.exponent); }
    case 6u: {
      // A receiver without weights has no attention to share.
      let whole = select(total, 1.0, total == 0.0);
      return 2.0 * v * (1.0 - v * v / whole) / whole;
    }
    case 7u: { return v - step * o; }
    case 8u: { return sign(v) * abs(o); }
    default: { return v; }
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let e = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (e >= params.count) { return; }
  var o = 0.0;
  var total = 0.0;
  var scale = 1.0;
  if (HAS_OTHER) { o = other[e]; }
  let member = e / params.own;
  if (HAS_TOTALS) {
    total = totals[member * params.receivers + (e / params.receiver_step) % params.receivers];
  }
  if (HAS_FACTOR) { scale = factor[member]; }
  var result = feedback(w[e], o, total, params.horizon * scale);
  if (TRANSFORM != 7u) { result *= scale; }
  if (HAS_MARGINAL) { result *= marginal[member * params.senders + (e / params.sender_step) % params.senders]; }
  f[e] = result;
}
