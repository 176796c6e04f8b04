// Where a projected gradient attack starts: in the ball of radius epsilon and the box 0 <= x + delta <= 1.
//   KIND 0: delta = 0
//   KIND 1: uniform in the ball, of u uniform, g normal, e exponential:
//           linf  epsilon (2 u - 1)
//           l2    epsilon g / sqrt(|g|_2^2 + 2 e)
//           l1    +-epsilon e_i / (sum of e_i + e)
//           (F. Barthe, O. Guedon, S. Mendelson and A. Naor, "A probabilistic approach to the geometry of the
//           l_p^n-ball", 2005)
//   KIND 2: epsilon deviation g, brought back to the ball
//   KIND 3: `given`, brought back to the ball
// then clamped to the box; images = x + delta; budget = (epsilon, step_absolute + step_relative epsilon).
// x, given, delta, images: [n, size]; samples: [n]; draw: [1]; epsilon: [1]; budget: [n, 2].
// A sample's random words hang on its number alone: block b of four is philox(b, stream, samples[row], draw).
// One workgroup a sample.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
const NORM: u32 = 0u;
const KIND: u32 = 1u;
const HAS_SAMPLES: bool = true;
const HAS_DRAW: bool = true;
// @end

struct Params {
  count: u32,
  size: u32,
  stream: u32,
  key_low: u32,
  key_high: u32,
  deviation: f32,
  step_absolute: f32,
  step_relative: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> samples: array<u32>;
@group(0) @binding(2) var<storage, read> draw: array<u32>;
@group(0) @binding(3) var<storage, read> epsilon: array<f32>;
@group(0) @binding(4) var<storage, read> given: array<f32>;
@group(0) @binding(5) var<storage, read_write> delta: array<f32>;
@group(0) @binding(6) var<storage, read_write> images: array<f32>;
@group(0) @binding(7) var<storage, read_write> budget: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

const LINF = 0u;
const L2 = 1u;
const UNIFORM = 1u;
const GAUSSIAN = 2u;
const GIVEN = 3u;
// Keeps rounding in the sum of a norm from passing epsilon.
const INSIDE = 1.0 - 0x1p-20;

var<workgroup> partial: array<f32, WORKGROUP_SIZE>;

// The sum of one value a lane; every lane gets it.
fn total(lane: u32, value: f32) -> f32 {
  workgroupBarrier();
  partial[lane] = value;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < WORKGROUP_SIZE; i++) { sum += partial[i]; }
  return sum;
}

// The largest delta with x + delta <= 1 in exact arithmetic: whole numbers of 2^-24 do not round.
fn room_above(value: f32) -> f32 {
  return (0x1p24 - ceil(value * 0x1p24)) * 0x1p-24;
}

// The upper word of a 64-bit product, which WGSL does not have, from 16-bit halves.
fn multiply_high(a: u32, b: u32) -> u32 {
  let a_low = a & 0xffffu;
  let a_high = a >> 16u;
  let b_low = b & 0xffffu;
  let b_high = b >> 16u;
  let middle = a_high * b_low + ((a_low * b_low) >> 16u);
  let carry = a_low * b_high + (middle & 0xffffu);
  return a_high * b_high + (middle >> 16u) + (carry >> 16u);
}

// Philox4x32-10 (Salmon, Moraes, Dror and Shaw, SC 2011).
fn philox(counter: vec4u, key: vec2u) -> vec4u {
  var words = counter;
  var round_key = key;
  for (var round = 0u; round < 10u; round++) {
    let high_x = multiply_high(0xd2511f53u, words.x);
    let high_z = multiply_high(0xcd9e8d57u, words.z);
    let low_x = 0xd2511f53u * words.x;
    let low_z = 0xcd9e8d57u * words.z;
    words = vec4u(high_z ^ words.y ^ round_key.x, low_z, high_x ^ words.w ^ round_key.y, low_x);
    round_key += vec2u(0x9e3779b9u, 0xbb67ae85u);
  }
  return words;
}

fn words_of(block: u32, row: u32) -> vec4u {
  var sample = row;
  var round = 0u;
  if (HAS_SAMPLES) { sample = samples[row]; }
  if (HAS_DRAW) { round = draw[0]; }
  return philox(vec4u(block, params.stream, sample, round), vec2u(params.key_low, params.key_high));
}

// Exponential numbers, -ln(1 - n 2^-24) of the words' upper 24 bits n; see random_normal.wgsl.
fn exponential(words: vec4u) -> vec4f {
  let bits = bitcast<vec4u>(vec4f(vec4u(0x1000000u) - (words >> vec4u(8u))));
  let half = (bits & vec4u(0x7fffffu)) >= vec4u(0x3504f3u);
  let m = bitcast<vec4f>((bits & vec4u(0x7fffffu)) | select(vec4u(0x3f800000u), vec4u(0x3f000000u), half));
  let e = vec4f(vec4i(bits >> vec4u(23u)) - 151 + select(vec4i(0), vec4i(1), half));
  let f = m - 1.0;
  let s = f / (2.0 + f);
  let q = s * s;
  let tail = q * (0.6666666667 + q * (0.4 + q * (0.2857142857 + q * (0.2222222222 + q * 0.1818181818))));
  return max(-(e * 0.693147180560 + s * (2.0 + tail)), vec4f(0.0));
}

// sin(t pi/2) for t in [0, 1].
fn quarter_sine(t: vec4f) -> vec4f {
  let q = t * t;
  let tail = 1.60441184787e-4 + q * (-3.598843235e-6 + q * 5.692172920e-8);
  let rest = 0.0796926262462 + q * (-0.00468175413532 + q * tail);
  return t * (1.570796326795 + q * (-0.645964097506 + q * rest));
}

// Four normal numbers, by Box and Muller's transform of (x, y) and of (z, w).
fn normal(words: vec4u) -> vec4f {
  let radius = sqrt(2.0 * exponential(words));
  let angle = words.yyww;
  let t = vec4f((angle >> vec4u(8u)) & vec4u(0x3fffffu)) * 0x1p-22;
  // The angle's first two bits are the quadrant; the cosine is the sine of a quadrant further.
  let quadrant = (angle >> vec4u(30u)) + vec4u(1u, 0u, 1u, 0u);
  let odd = (quadrant & vec4u(1u)) == vec4u(1u);
  let size = quarter_sine(select(t, 1.0 - t, odd));
  let below = (quadrant & vec4u(2u)) == vec4u(2u);
  return radius.xxzz * select(size, -size, below);
}

// Four elements before they are brought to the ball.
fn drawn(words: vec4u) -> vec4f {
  if (KIND == UNIFORM && NORM == LINF) { return vec4f(words >> vec4u(8u)) * 0x1p-23 - 1.0; }
  if (KIND == UNIFORM && NORM != L2) {
    // The lowest bit, which the exponential does not use, is the sign.
    let sizes = exponential(words);
    return select(-sizes, sizes, (words & vec4u(1u)) == vec4u(1u));
  }
  return normal(words);
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
  let radius = epsilon[0];
  let blocks = (params.size + 3u) / 4u;

  // The elements as they are drawn or given, and their norm. The block behind the last holds the
  // slack of the norm.
  var sum = 0.0;
  for (var block = lane; block <= blocks; block += WORKGROUP_SIZE) {
    var values = vec4f(0.0);
    if (KIND == UNIFORM || KIND == GAUSSIAN) {
      let words = words_of(block, row);
      values = drawn(words);
      if (KIND == UNIFORM && NORM != LINF && block == blocks) {
        sum += exponential(words).x * select(1.0, 2.0, NORM == L2);
      }
    }
    if (KIND == GAUSSIAN) { values *= radius * params.deviation; }
    let taken = min(params.size - min(4u * block, params.size), 4u);
    var part = 0.0;
    for (var i = 0u; i < taken; i++) {
      let at = first + 4u * block + i;
      var value = values[i];
      if (KIND == GIVEN) { value = given[at]; }
      delta[at] = value;
      part += select(abs(value), value * value, NORM == L2);
    }
    sum += part;
  }

  var scale = 1.0;
  if (KIND == UNIFORM && NORM == LINF) { scale = radius; }
  if (NORM != LINF) {
    var size = total(lane, sum);
    if (NORM == L2) { size = sqrt(size); }
    let inside = INSIDE * radius;
    if (KIND == UNIFORM || size > inside) { scale = inside / max(size, 1e-30); }
  }

  for (var block = lane; block < blocks; block += WORKGROUP_SIZE) {
    let taken = min(params.size - 4u * block, 4u);
    for (var i = 0u; i < taken; i++) {
      let at = first + 4u * block + i;
      let value = x[at];
      var moved = 0.0;
      if (KIND != 0u) {
        moved = clamp(clamp(scale * delta[at], -radius, radius), -value, room_above(value));
      }
      delta[at] = moved;
      images[at] = value + moved;
    }
  }
  if (lane == 0u) {
    budget[2u * row] = radius;
    budget[2u * row + 1u] = params.step_absolute + params.step_relative * radius;
  }
}
