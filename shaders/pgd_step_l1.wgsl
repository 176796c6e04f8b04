// One step of a projected gradient attack in l1: direction, step, projection, clamp, each sample for itself.
//   v = delta + eta direction(gradient);  next = z, the point of ball and box nearest to v;  images = x + z
// direction: sign(g) / (how many) at the `kept` largest |g| that the box lets move (F. Tramer and D. Boneh,
// NeurIPS 2019), 0 elsewhere; without STEEPEST g itself. Entries of g that are not finite count as 0.
// The nearest point with |z|_1 <= epsilon and 0 <= x + z <= 1 is z_i = v_i shrunk toward 0 by one threshold
// for all i and clamped to the box. This threshold and that of the largest slopes are found by bisection.
// flags[row] |= 1 if an entry of the gradient is not finite, 2 if all of them are 0 (or subnormal) in a
// sample without flag 4, that of success. With EARLY_STOP samples with flag 4 stay where they are.
// x, gradient, delta, next, images: [n, size]; budget: [n, 2], epsilon and eta; flags: [n].
// One workgroup a sample; each lane keeps the values of its elements in `next` and `images` on the way.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
const STEEPEST: bool = true;
const EARLY_STOP: bool = false;
// @end

struct Params {
  count: u32,
  size: u32,
  kept: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> delta: array<f32>;
@group(0) @binding(3) var<storage, read> budget: array<f32>;
@group(0) @binding(4) var<storage, read_write> flags: array<u32>;
@group(0) @binding(5) var<storage, read_write> next: array<f32>;
@group(0) @binding(6) var<storage, read_write> images: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

const SLOPE_HALVINGS = 16u;
const CUT_HALVINGS = 22u;
// Keeps rounding in the sum of a norm from passing epsilon.
const INSIDE = 1.0 - 0x1p-20;

const NON_FINITE = 1u;
const ZERO = 2u;
const SUCCESS = 4u;
const NOT_ZERO = 0x100u;

var<workgroup> partial: array<f32, WORKGROUP_SIZE>;
var<workgroup> seen: atomic<u32>;

fn total(lane: u32, value: f32) -> f32 {
  workgroupBarrier();
  partial[lane] = value;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < WORKGROUP_SIZE; i++) { sum += partial[i]; }
  return sum;
}

fn largest(lane: u32, value: f32) -> f32 {
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

fn sign_of(value: f32) -> f32 {
  return select(select(0.0, -1.0, value < 0.0), 1.0, value > 0.0);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= params.count) { return; }
  let first = row * params.size;
  let end = first + params.size;
  let epsilon = budget[2u * row];
  let eta = budget[2u * row + 1u];
  let known = flags[row];
  let stopped = EARLY_STOP && (known & SUCCESS) != 0u;

  // `next` takes the slopes, 0 where they are not finite, subnormal, or the box keeps delta from following
  // them.
  var found = 0u;
  var most = 0.0;
  for (var i = first + lane; i < end; i += WORKGROUP_SIZE) {
    var g = gradient[i];
    let exponent = bitcast<u32>(g) & 0x7f800000u;
    found |= select(select(NOT_ZERO, 0u, exponent == 0u), NOT_ZERO | NON_FINITE, exponent == 0x7f800000u);
    g = select(g, 0.0, exponent == 0x7f800000u || exponent == 0u);
    let stuck = (g > 0.0 && delta[i] >= room_above(x[i])) || (g < 0.0 && delta[i] <= -x[i]);
    g = select(g, 0.0, STEEPEST && stuck);
    next[i] = g;
    most = max(most, abs(g));
  }
  atomicOr(&seen, found);

  // The size that the `kept` largest slopes pass. The first try is 0, which they all pass if they are few.
  var low = 0.0;
  var high = largest(lane, most);
  var many = 0.0;
  var few = 0.0;
  if (STEEPEST) {
    for (var halving = 0u; halving <= SLOPE_HALVINGS; halving++) {
      let middle = select(0.5 * (low + high), 0.0, halving == 0u);
      var count = 0.0;
      for (var i = first + lane; i < end; i += WORKGROUP_SIZE) {
        count += select(0.0, 1.0, abs(next[i]) > middle);
      }
      count = total(lane, count);
      let fits = count <= f32(params.kept);
      high = select(high, middle, fits);
      few = select(few, count, fits);
      low = select(middle, low, fits);
      many = select(count, many, fits);
    }
  }
  // Equal largest slopes, more than are to be kept, move together.
  let threshold = select(low, high, few > 0.0);
  let moving = max(select(many, few, few > 0.0), 1.0);

  // `next` takes the point after the step, `images` the room above, which the search below asks for again and
  // again.
  most = 0.0;
  for (var i = first + lane; i < end; i += WORKGROUP_SIZE) {
    let g = next[i];
    let along = select(g, select(0.0, sign_of(g) / moving, abs(g) > threshold), STEEPEST);
    let v = delta[i] + eta * along;
    next[i] = v;
    images[i] = select(x[i], room_above(x[i]), v > 0.0);
    most = max(most, abs(v));
  }

  // What all sizes lose. The first try is 0, which is taken if the point is in the ball.
  let inside = INSIDE * epsilon;
  low = 0.0;
  high = largest(lane, most);
  for (var halving = 0u; halving <= CUT_HALVINGS; halving++) {
    let middle = select(0.5 * (low + high), 0.0, halving == 0u);
    var sum = 0.0;
    for (var i = first + lane; i < end; i += WORKGROUP_SIZE) {
      sum += min(max(abs(next[i]) - middle, 0.0), images[i]);
    }
    let fits = total(lane, sum) <= inside;
    high = select(high, middle, fits);
    low = select(middle, low, fits);
  }

  for (var i = first + lane; i < end; i += WORKGROUP_SIZE) {
    let v = next[i];
    let size = min(max(abs(v) - high, 0.0), images[i]);
    let z = select(sign_of(v) * size, delta[i], stopped);
    next[i] = z;
    images[i] = x[i] + z;
  }
  if (lane == 0u && !stopped) {
    let all = atomicLoad(&seen);
    let blind = (all & NOT_ZERO) == 0u && (known & SUCCESS) == 0u;
    flags[row] = known | (all & NON_FINITE) | select(0u, ZERO, blind);
  }
}
