// Dropout: zeroes elements at random and scales the others, so that the expected value stays.
//   mask[4 b + i] = 0 if (word i of philox(block b) >> 8) < threshold, else scale;  y = x * mask
// x, y, mask: [count]; counter: absent, or one or two words that count draws. threshold: 2^24 times the rate;
// scale: 1 / (1 - rate). One block of four words an invocation.

struct Params {
  count: u32,
  stream: u32,
  key_low: u32,
  key_high: u32,
  counter_words: u32,
  threshold: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> counter: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> mask: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

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

fn drop_out(i: u32, kept: f32) {
  if (i >= params.count) { return; }
  y[i] = x[i] * kept;
  mask[i] = kept;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let block = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let first = block * 4u;
  if (first >= params.count) { return; }
  let words = philox(counter_of(block), vec2u(params.key_low, params.key_high));
  let kept = select(vec4f(params.scale), vec4f(0.0), (words >> vec4u(8u)) < vec4u(params.threshold));
  drop_out(first, kept.x);
  drop_out(first + 1u, kept.y);
  drop_out(first + 2u, kept.z);
  drop_out(first + 3u, kept.w);
}
