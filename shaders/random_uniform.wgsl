// Uniform draws, the same bits on every adapter.
//   y[4 b + i] = min(low + u[i] * width, largest),  u[i] = (word i of philox(block b) >> 8) * 2^-24 in [0, 1)
// y: [count]; counter: absent, or one or two words that count draws. largest is the float below `high`, which
// rounding could reach. One block of four words an invocation.

struct Params {
  count: u32,
  stream: u32,
  key_low: u32,
  key_high: u32,
  counter_words: u32,
  low: f32,
  width: f32,
  largest: f32,
  zero: u32,
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

fn uniform_of(word: u32) -> f32 {
  let share = f32(word >> 8u) * 0x1p-24;
  // Rounded twice, never by a fused multiply-add, which not every adapter makes: no compiler knows that zero
  // is 0.
  let product = bitcast<f32>(bitcast<u32>(share * params.width) ^ params.zero);
  return min(params.low + product, params.largest);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let block = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let first = block * 4u;
  if (first >= params.count) { return; }
  let words = philox(counter_of(block), vec2u(params.key_low, params.key_high));
  y[first] = uniform_of(words.x);
  if (first + 1u < params.count) { y[first + 1u] = uniform_of(words.y); }
  if (first + 2u < params.count) { y[first + 2u] = uniform_of(words.z); }
  if (first + 3u < params.count) { y[first + 3u] = uniform_of(words.w); }
}
