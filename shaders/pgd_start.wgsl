// Where a projected gradient attack starts: a point of the ball of radius epsilon and of the box 0 <= x + delta <= 1.
//   KIND 0: delta = 0
//   KIND 1: uniform in the ball. linf: epsilon (2 u - 1). l2: epsilon g / sqrt(|g|_2^2 + 2 e). l1: +-epsilon e_i /
//           (sum of e_i + e). u uniform, g normal, e exponential: F. Barthe, O. Guedon, S. Mendelson and A. Naor,
//           "A probabilistic approach to the geometry of the l_p^n-ball", 2005
//   KIND 2: epsilon deviation g, brought back to the ball
//   KIND 3: `given`, brought back to the ball
// then clamped to the box; images = x + delta; budget = (epsilon, step_absolute + step_relative epsilon).
// x, given, delta, images: [n, size]; samples: [n]; draw: [1]; epsilon: [1]; budget: [n, 2]. A sample's random words
// hang on its number alone: block b of four is philox(b, stream, samples[row], draw). One workgroup a sample.

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

// ln(1 - n 2^-24), n from 0 to 2^24 - 1; see random_normal.wgsl.
fn log_of_complement(n: u32) -> f32 {
  let bits = bitcast<u32>(f32(0x1000000u - n));
  let half = (bits & 0x7fffffu) >= 0x3504f3u;
  let m = bitcast<f32>((bits & 0x7fffffu) | select(0x3f800000u, 0x3f000000u, half));
  let e = f32(i32(bits >> 23u) - 127 - 24 + select(0, 1, half));
  let f = m - 1.0;
  let s = f / (2.0 + f);
  let q = s * s;
  let tail = q * (0.6666666667 + q * (0.4 + q * (0.2857142857 + q * (0.2222222222 + q * 0.1818181818))));
  return e * 0.693147180560 + s * (2.0 + tail);
}

fn exponential(word: u32) -> f32 {
  return max(-log_of_complement(word >> 8u), 0.0);
}

// sin(t pi/2) for t in [0, 1].
fn quarter_sine(t: f32) -> f32 {
  let q = t * t;
  let tail = 1.60441184787e-4 + q * (-3.598843235e-6 + q * 5.692172920e-8);
  return t * (1.570796326795 + q * (-0.645964097506 + q * (0.0796926262462 + q * (-0.00468175413532 + q * tail))));
}

// Two normal numbers of two words, by Box and Muller's transform.
fn box_muller(radius_word: u32, angle_word: u32) -> vec2f {
  let radius = sqrt(2.0 * exponential(radius_word));
  let t = f32((angle_word >> 8u) & 0x3fffffu) * 0x1p-22;
  let sine = quarter_sine(t);
  let cosine = quarter_sine(1.0 - t);
  var direction = vec2f(cosine, sine);
  switch (angle_word >> 30u) {
    case 1u: { direction = vec2f(-sine, cosine); }
    case 2u: { direction = vec2f(-cosine, -sine); }
    case 3u: { direction = vec2f(sine, -cosine); }
    default: {}
  }
  return radius * direction;
}

fn laplace(word: u32) -> f32 {
  // The lowest bit, which the exponential does not use, is the sign.
  return select(-1.0, 1.0, (word & 1u) == 1u) * exponential(word);
}

// Four elements before they are brought to the ball.
fn drawn(block: u32, row: u32) -> vec4f {
  let words = words_of(block, row);
  if (KIND == UNIFORM && NORM == LINF) { return vec4f(words >> vec4u(8u)) * 0x1p-23 - 1.0; }
  if (KIND == UNIFORM && NORM != L2) {
    return vec4f(laplace(words.x), laplace(words.y), laplace(words.z), laplace(words.w));
  }
  return vec4f(box_muller(words.x, words.y), box_muller(words.z, words.w));
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

  // The elements as they are drawn or given, and their norm.
  var sum = 0.0;
  for (var block = lane; block < blocks; block += WORKGROUP_SIZE) {
    var values = vec4f(0.0);
    if (KIND == UNIFORM) { values = drawn(block, row); }
    if (KIND == GAUSSIAN) { values = radius * params.deviation * drawn(block, row); }
    let taken = min(params.size - 4u * block, 4u);
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
    if (KIND == UNIFORM) {
      let slack = exponential(words_of(blocks, row).x);
      size += select(slack, 2.0 * slack, NORM == L2);
    }
    if (NORM == L2) { size = sqrt(size); }
    let inside = INSIDE * radius;
    if (KIND == UNIFORM) {
      scale = inside / max(size, 1e-30);
    } else if (size > inside) {
      scale = inside / size;
    }
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
