// Points at which a network is looked at: on the way from a baseline to an image, with noise.
//   y[b][j] = base + alpha (x[n][j] - base) + deviation[n] g,  base = baselines[m][j], or 0 without baselines
// with (n, m, d, bits of alpha) = plan[b] and g normal, four of philox(block of four, stream, n, draw d).
// x: [images, size]; baselines: [any, size]; deviation: [images]; plan: [rows]; y: [rows, size].
// One block of four elements an invocation; blocks = size / 4, rounded up.

// @constants
const HAS_BASELINES: bool = false;
const HAS_DEVIATION: bool = false;
// @end

struct Params {
  count: u32,
  size: u32,
  blocks: u32,
  first_image: u32,
  key_low: u32,
  key_high: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> plan: array<vec4u>;
@group(0) @binding(2) var<storage, read> baselines: array<f32>;
@group(0) @binding(3) var<storage, read> deviation: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
const STREAM = 0x6578706cu;

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

// ln(1 - n 2^-24), n from 0 to 2^24 - 1, to a few units in the last place at both ends: with 1 - n 2^-24 = m
// 2^e and m in [0.7, 1.42), ln m = 2 atanh(f / (2 + f)) for f = m - 1, which is exact.
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

// sin(t pi/2) for t in [0, 1]: the Taylor polynomial, whose next term is below 6e-10.
fn quarter_sine(t: f32) -> f32 {
  let q = t * t;
  let tail = -0.00468175413532 + q * (1.60441184787e-4 + q * (-3.598843235e-6 + q * 5.692172920e-8));
  return t * (1.570796326795 + q * (-0.645964097506 + q * (0.0796926262462 + q * tail)));
}

// Two normal numbers of two words.
fn box_muller(radius_word: u32, angle_word: u32) -> vec2f {
  let radius = sqrt(max(-2.0 * log_of_complement(radius_word >> 8u), 0.0));
  // The angle's first two bits are the quadrant, the next 22 the way through it.
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

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let item = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (item >= params.count) { return; }
  let row = item / params.blocks;
  let block = item % params.blocks;
  let entry = plan[row];
  let alpha = bitcast<f32>(entry.w);
  var noise = vec4f(0.0);
  if (HAS_DEVIATION) {
    let counter = vec4u(block, STREAM, params.first_image + entry.x, entry.z);
    let words = philox(counter, vec2u(params.key_low, params.key_high));
    noise = deviation[entry.x] * vec4f(box_muller(words.x, words.y), box_muller(words.z, words.w));
  }
  for (var lane = 0u; lane < 4u; lane++) {
    let j = block * 4u + lane;
    if (j < params.size) {
      var base = 0.0;
      if (HAS_BASELINES) { base = baselines[entry.y * params.size + j]; }
      let image = x[entry.x * params.size + j];
      // Exact at alpha = 1.
      y[row * params.size + j] = alpha * image + (1.0 - alpha) * base + dot(noise, pick(lane));
    }
  }
}

// A dynamic index into a vector is slow on software adapters.
fn pick(lane: u32) -> vec4f {
  return select(vec4f(0.0), vec4f(1.0), vec4u(lane) == vec4u(0u, 1u, 2u, 3u));
}
