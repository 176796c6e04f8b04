// Normal draws by Box and Muller's transform, with polynomials of its own: WGSL's log, sin and cos may be far
// off.
//   (y[4 b], y[4 b + 1]) = mean + deviation * sqrt(-2 ln(1 - u[0])) * (cos 2 pi u[1], sin 2 pi u[1])
// and the same of u[2], u[3] for the other two, u[i] = (word i of philox(block b) >> 8) * 2^-24.
// y: [count]; counter: absent, or one or two words that count draws. One block of four words an invocation.

struct Params {
  count: u32,
  stream: u32,
  key_low: u32,
  key_high: u32,
  counter_words: u32,
  mean: f32,
  deviation: f32,
}

@group(0) @binding(0) var<storage, read> counter: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

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

// The counter of a block: its number, the stream, and the draw that the counter tensor counts.
fn counter_of(block: u32) -> vec4u {
  var draw = vec2u(0u);
  if (params.counter_words > 0u) { draw.x = counter[0]; }
  if (params.counter_words > 1u) { draw.y = counter[1]; }
  return vec4u(block, params.stream, draw);
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
  return params.mean + params.deviation * radius * direction;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let block = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let first = block * 4u;
  if (first >= params.count) { return; }
  let words = philox(counter_of(block), vec2u(params.key_low, params.key_high));
  let draws = vec4f(box_muller(words.x, words.y), box_muller(words.z, words.w));
  y[first] = draws.x;
  if (first + 1u < params.count) { y[first + 1u] = draws.y; }
  if (first + 2u < params.count) { y[first + 2u] = draws.z; }
  if (first + 3u < params.count) { y[first + 3u] = draws.w; }
}
