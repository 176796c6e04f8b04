// What the neurons of a layer are paid by the next layer, for every sample, and through their activation: one product
// with the feedback weights F(W) made as W is loaded, and the activation's derivative on the way out.
//   q[s, i] = factor · marginal[i / group] · Σ_j F(w[i, j]) · signal[s, j],   out[s, i] = act(q[s, i]) · φ'(kept[s, i])
// signal: [samples, receivers], w and other: [units, receivers], totals: [receivers], factor: [1], marginal: [agents],
// kept (the activation's output) and out: [samples, units]; `group` units share an agent.
//   TRANSFORM  F(w)                              attention of a neuron that is paid so
//   0          w                                 ½ Σ w²
//   1          sign(w)                           Σ |w|
//   2          sign(w) √|w|                      Σ |w|^1.5 / 1.5
//   3          w |w|                             Σ |w|³ / 3
//   4          w³                                Σ w⁴ / 4
//   5          sign(w) |w|^exponent              Σ |w|^p / p with p = exponent + 1
//   6          2 w (1 - w² / total) / total      Σ w² / total, a share of what the receiver gives in all
//   7          w - horizon · factor · other      growth with the weights of `horizon` updates later; other: their gradient
//   8          sign(w) |other|                   none: the sign is the weight's, the size is not
// act is q itself, or with BOUNDED the move of size `bound` towards the payment, bound · sign(q).

// @constants
const TRANSFORM: u32 = 0u;
const ACTIVATION: u32 = 0u;
const BOUNDED: bool = false;
const HAS_OTHER: bool = false;
const HAS_TOTALS: bool = false;
const HAS_FACTOR: bool = false;
const HAS_MARGINAL: bool = false;
const HAS_KEPT: bool = false;
const WIDTH: u32 = 4u;
const TILE_M: u32 = 4u;
const TILE_N: u32 = 4u;
const GROUP_M: u32 = 4u;
const GROUP_N: u32 = 8u;
const UNROLL: bool = true;
// @end

// Four receivers at a time; the host makes the form for numbers of receivers that 4 does not divide (f32).
alias Item = vec4f;

struct Params {
  samples: u32,
  units: u32,
  receivers: u32,
  tiles_n: u32,
  group: u32,
  exponent: f32,
  horizon: f32,
  bound: f32,
  slope: f32,
}

@group(0) @binding(0) var<storage, read> signal: array<Item>;
@group(0) @binding(1) var<storage, read> w: array<Item>;
@group(0) @binding(2) var<storage, read> other: array<Item>;
@group(0) @binding(3) var<storage, read> totals: array<Item>;
@group(0) @binding(4) var<storage, read> factor: array<f32>;
@group(0) @binding(5) var<storage, read> marginal: array<f32>;
@group(0) @binding(6) var<storage, read> kept: array<f32>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

fn feedback(v: Item, o: Item, total: Item, step: f32) -> Item {
  switch TRANSFORM {
    case 1u: { return sign(v); }
    case 2u: { return sign(v) * sqrt(abs(v)); }
    case 3u: { return v * abs(v); }
    case 4u: { return v * v * v; }
    case 5u: { return sign(v) * pow(abs(v), Item(params.exponent)); }
    case 6u: {
      // A receiver without weights has no attention to share.
      let whole = select(total, Item(1.0), total == Item(0.0));
      return 2.0 * v * (1.0 - v * v / whole) / whole;
    }
    case 7u: { return v - step * o; }
    case 8u: { return sign(v) * abs(o); }
    default: { return v; }
  }
}

fn derivative(v: f32) -> f32 {
  switch ACTIVATION {
    case 1u: { return select(0.0, 1.0, v > 0.0); }
    case 2u: { return select(params.slope, 1.0, v > 0.0); }
    case 3u: { return (1.0 - v) * (1.0 + v); }
    case 4u: { return v * (1.0 - v); }
    default: { return 1.0; }
  }
}

@compute @workgroup_size(GROUP_N, GROUP_M)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let flat = group.x + group.y * groups.x;
  let row = ((flat / params.tiles_n) * GROUP_M + local.y) * TILE_M;
  let column = ((flat % params.tiles_n) * GROUP_N + local.x) * TILE_N;
  if (row >= params.samples || column >= params.units) { return; }
  let items = params.receivers / WIDTH;
  var scale = 1.0;
  if (HAS_FACTOR) { scale = factor[0]; }

  // Rows past the edge repeat the last one and are not stored.
  // @scalars
  var signal_at: array<u32, TILE_M>;
  // @scalars
  var w_at: array<u32, TILE_N>;
  // @unroll
  for (var i = 0u; i < TILE_M; i++) {
    signal_at[i] = min(row + i, params.samples - 1u) * items;
  }
  // @unroll
  for (var j = 0u; j < TILE_N; j++) {
    w_at[j] = min(column + j, params.units - 1u) * items;
  }

  // @scalars
  var sum: array<array<f32, TILE_N>, TILE_M>;
  // @scalars
  var f: array<vec4f, TILE_N>;
  for (var k = 0u; k < items; k++) {
    var total = Item(0.0);
    if (HAS_TOTALS) { total = totals[k]; }
    // @unroll
    for (var j = 0u; j < TILE_N; j++) {
      var o = Item(0.0);
      if (HAS_OTHER) { o = other[w_at[j] + k]; }
      f[j] = vec4f(feedback(w[w_at[j] + k], o, total, params.horizon * scale));
    }
    // @unroll
    for (var i = 0u; i < TILE_M; i++) {
      let v = vec4f(signal[signal_at[i] + k]);
      // @unroll
      for (var j = 0u; j < TILE_N; j++) {
        sum[i][j] = fma(v.x, f[j].x, fma(v.y, f[j].y, fma(v.z, f[j].z, fma(v.w, f[j].w, sum[i][j]))));
      }
    }
  }

  // A scalar stood four times in its vec4f; a quarter of the sum is exact.
  var share = f32(WIDTH) / 4.0;
  if (HAS_FACTOR && TRANSFORM != 7u) { share *= scale; }
  // @unroll
  for (var j = 0u; j < TILE_N; j++) {
    if (column + j < params.units) {
      var price = share;
      if (HAS_MARGINAL) { price *= marginal[(column + j) / params.group]; }
      // @unroll
      for (var i = 0u; i < TILE_M; i++) {
        if (row + i < params.samples) {
          let at = (row + i) * params.units + column + j;
          var q = price * sum[i][j];
          if (BOUNDED) { q = params.bound * sign(q); }
          if (HAS_KEPT) { q *= derivative(kept[at]); }
          out[at] = q;
        }
      }
    }
  }
}
