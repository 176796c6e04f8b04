// One step of a projected gradient attack: direction, step, projection and clamp, each sample for itself.
//   v = delta + eta direction(gradient),  z = P(v)
//   EXTRAPOLATE (APGD): z = P(delta + alpha (P(v) - delta) + (1 - alpha) (delta - previous))
//   next = z,  images = x + z
// P takes a point to the ball of radius epsilon and to the box 0 <= x + z <= 1:
//   linf  clamp(v, -epsilon, epsilon), then the box
//   l2    v min(1, epsilon / |v|_2), then the box, which only shortens it
// direction: of steepest ascent, linf sign(g), l2 g / |g|_2; without STEEPEST g itself. Entries of g that are
// not finite count as 0. For l1 see pgd_step_l1.wgsl.
// flags[row] |= 1 if an entry of the gradient is not finite, 2 if all of them are 0 (or subnormal) in a
// sample without flag 4, that of success. With EARLY_STOP samples with flag 4 stay where they are.
// x, gradient, delta, previous, next, images: [n, size]; budget: [n, 2], epsilon and eta; flags: [n].
// One workgroup a sample. Non-finite and zero are told by the bits: WGSL lets implementations assume no NaN.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
// linf 0, l2 1.
const NORM: u32 = 0u;
const STEEPEST: bool = true;
const EXTRAPOLATE: bool = false;
const EARLY_STOP: bool = false;
// @end

struct Params {
  count: u32,
  size: u32,
  alpha: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> delta: array<f32>;
@group(0) @binding(3) var<storage, read> previous: array<f32>;
@group(0) @binding(4) var<storage, read> budget: array<f32>;
@group(0) @binding(5) var<storage, read_write> flags: array<u32>;
@group(0) @binding(6) var<storage, read_write> next: array<f32>;
@group(0) @binding(7) var<storage, read_write> images: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

const LINF = 0u;
const L2 = 1u;
// Keeps rounding in the sum of a norm from passing epsilon.
const INSIDE = 1.0 - 0x1p-20;

const NON_FINITE = 1u;
const ZERO = 2u;
const SUCCESS = 4u;
const NOT_ZERO = 0x100u;

var<workgroup> partial: array<f32, WORKGROUP_SIZE>;
var<workgroup> seen: atomic<u32>;

var<private> lane: u32;
var<private> first: u32;
var<private> epsilon: f32;
var<private> eta: f32;
// What direction() divides the slopes by (l2): the largest size, and the norm after that.
var<private> unit: f32;
var<private> norm: f32;
// The factor of the first of two projections.
var<private> first_factor: f32;

fn total(value: f32) -> f32 {
  workgroupBarrier();
  partial[lane] = value;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < WORKGROUP_SIZE; i++) { sum += partial[i]; }
  return sum;
}

fn largest(value: f32) -> f32 {
  workgroupBarrier();
  partial[lane] = value;
  workgroupBarrier();
  var most = 0.0;
  for (var i = 0u; i < WORKGROUP_SIZE; i++) { most = max(most, partial[i]); }
  return most;
}

// The largest delta with x + delta <= 1 in exact arithmetic: whole numbers of 2^-24 do not round.
fn room_above(value: f32) -> f32 {
  return (0x1p24 - ceil(value * 0x1p24)) * 0x1p-24;
}

// The gradient's element with what is not finite or subnormal as 0.
fn slope(i: u32) -> f32 {
  let value = gradient[first + i];
  let exponent = bitcast<u32>(value) & 0x7f800000u;
  return select(value, 0.0, exponent == 0x7f800000u || exponent == 0u);
}

fn direction(i: u32) -> f32 {
  let g = slope(i);
  if (!STEEPEST) { return g; }
  if (NORM == L2) { return g / unit / norm; }
  return select(select(0.0, -1.0, g < 0.0), 1.0, g > 0.0);
}

// Sets what direction() needs. Dividing by the largest slope first keeps tiny gradients from
// underflowing to 0.
fn measure_slopes() {
  if (!STEEPEST || NORM == LINF) { return; }
  var most = 0.0;
  for (var i = lane; i < params.size; i += WORKGROUP_SIZE) { most = max(most, abs(slope(i))); }
  most = largest(most);
  unit = select(1.0, most, most > 0.0);
  var sum = 0.0;
  for (var i = lane; i < params.size; i += WORKGROUP_SIZE) {
    let ratio = slope(i) / unit;
    sum += ratio * ratio;
  }
  norm = max(sqrt(total(sum)), 1e-12);
}

// A value of element i in ball and box; for l2 `factor` brings it into the ball.
fn projected(value: f32, i: u32, factor: f32) -> f32 {
  var z = clamp(value, -epsilon, epsilon);
  if (NORM == L2) { z = value * factor; }
  let at = x[first + i];
  return clamp(z, -at, room_above(at));
}

// The point that is projected: after the step, or (last) after the extrapolation.
fn point(i: u32, last: bool) -> f32 {
  let d = delta[first + i];
  let v = d + eta * direction(i);
  if (!last) { return v; }
  let z = projected(v, i, first_factor);
  return d + params.alpha * (z - d) + (1.0 - params.alpha) * (d - previous[first + i]);
}

// The factor that brings the point into the ball of l2.
fn find_factor(last: bool) -> f32 {
  if (NORM == LINF) { return 1.0; }
  var sum = 0.0;
  for (var i = lane; i < params.size; i += WORKGROUP_SIZE) {
    let value = point(i, last);
    sum += value * value;
  }
  let size = sqrt(total(sum));
  let inside = INSIDE * epsilon;
  return select(1.0, inside / max(size, 1e-30), size > inside);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) index: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= params.count) { return; }
  lane = index;
  first = row * params.size;
  epsilon = budget[2u * row];
  eta = budget[2u * row + 1u];
  let known = flags[row];
  let stopped = EARLY_STOP && (known & SUCCESS) != 0u;

  measure_slopes();
  if (EXTRAPOLATE) { first_factor = find_factor(false); }
  let factor = find_factor(EXTRAPOLATE);

  var found = 0u;
  for (var i = lane; i < params.size; i += WORKGROUP_SIZE) {
    let exponent = bitcast<u32>(gradient[first + i]) & 0x7f800000u;
    found |= select(select(NOT_ZERO, 0u, exponent == 0u), NOT_ZERO | NON_FINITE, exponent == 0x7f800000u);
    var z = projected(point(i, EXTRAPOLATE), i, factor);
    z = select(z, delta[first + i], stopped);
    next[first + i] = z;
    images[first + i] = x[first + i] + z;
  }
  atomicOr(&seen, found);
  workgroupBarrier();
  if (lane == 0u && !stopped) {
    let all = atomicLoad(&seen);
    let blind = (all & NOT_ZERO) == 0u && (known & SUCCESS) == 0u;
    flags[row] = known | (all & NON_FINITE) | select(0u, ZERO, blind);
  }
}
