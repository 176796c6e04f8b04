// What the Square attack tries next (M. Andriushchenko, F. Croce, N. Flammarion, M. Hein, ECCV 2020), linf.
//   query 0: vertical stripes of +-epsilon, a sign a column and channel
//   query q: the best delta so far with one square window set to +-epsilon, a sign a channel; the window
//            covers a share of the image, which halves at 0.1 %, 0.5 %, 2 %, 5 %, 10 %, 20 %, 40 %, 60 %
//            and 80 % of all queries
//   query >= queries: the best delta again
// then clamped to the box 0 <= x + candidate <= 1; images = x + candidate.
// x, best, candidate, images: [n, channels, height, width]; samples: [n]; draw, query, epsilon: [1].
// Random words: philox(block, stream, samples[row], draw); block q is query q's. One workgroup a sample.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
const HAS_SAMPLES: bool = true;
const HAS_DRAW: bool = true;
// @end

struct Params {
  count: u32,
  channels: u32,
  height: u32,
  width: u32,
  queries: u32,
  share: f32,
  stream: u32,
  key_low: u32,
  key_high: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> best: array<f32>;
@group(0) @binding(2) var<storage, read> samples: array<u32>;
@group(0) @binding(3) var<storage, read> draw: array<u32>;
@group(0) @binding(4) var<storage, read> query: array<u32>;
@group(0) @binding(5) var<storage, read> epsilon: array<f32>;
@group(0) @binding(6) var<storage, read_write> candidate: array<f32>;
@group(0) @binding(7) var<storage, read_write> images: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

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

fn words_of(block: u32, stream: u32, row: u32) -> vec4u {
  var sample = row;
  var round = 0u;
  if (HAS_SAMPLES) { sample = samples[row]; }
  if (HAS_DRAW) { round = draw[0]; }
  return philox(vec4u(block, stream, sample, round), vec2u(params.key_low, params.key_high));
}

// The share of the image that a window covers.
fn share_at(at: u32) -> f32 {
  let progress = f32(at) / f32(params.queries);
  var halvings = 0u;
  halvings += select(0u, 1u, progress > 0.001) + select(0u, 1u, progress > 0.005);
  halvings += select(0u, 1u, progress > 0.02) + select(0u, 1u, progress > 0.05);
  halvings += select(0u, 1u, progress > 0.1) + select(0u, 1u, progress > 0.2);
  halvings += select(0u, 1u, progress > 0.4) + select(0u, 1u, progress > 0.6);
  halvings += select(0u, 1u, progress > 0.8);
  return params.share / f32(1u << halvings);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.x + group.y * groups.x;
  if (row >= params.count) { return; }
  let area = params.height * params.width;
  let size = params.channels * area;
  let radius = epsilon[0];
  let at = query[0];
  let words = words_of(at, params.stream, row);
  let side = clamp(u32(round(sqrt(share_at(at) * f32(area)))), 1u, min(params.height, params.width));
  let top = multiply_high(words.x, params.height - side + 1u);
  let left = multiply_high(words.y, params.width - side + 1u);
  for (var i = lane; i < size; i += WORKGROUP_SIZE) {
    let channel = i / area;
    let line = (i % area) / params.width;
    let column = i % params.width;
    var value = best[row * size + i];
    if (at == 0u) {
      // The streams beside the first are for stripes, one a channel.
      let stripe = words_of(column, params.stream + 1u + channel, row).x;
      value = select(-radius, radius, (stripe & 1u) == 1u);
    } else if (at < params.queries && line - top < side && column - left < side) {
      // A sign a channel: a bit of the block's last words, or of another block's beyond 32 channels.
      var bits = words.z;
      if (channel >= 32u) { bits = words_of(at, params.stream + 1u + channel / 32u, row).y; }
      value = select(-radius, radius, ((bits >> (channel & 31u)) & 1u) == 1u);
    }
    let pixel = x[row * size + i];
    let moved = clamp(value, -pixel, room_above(pixel));
    candidate[row * size + i] = moved;
    images[row * size + i] = pixel + moved;
  }
}
