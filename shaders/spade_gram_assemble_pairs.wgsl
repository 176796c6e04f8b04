// The Hessian of a layer's inputs from the sums that spade_gram made by pair of taps.
//   h[problem][(c, tap)][(c', tap')] (+)= scale · Σ_slices parts[problem, slice, tap, tap', c, c']
// parts: [problems, slices, taps, taps, padded, padded], `padded` the channels in whole vec4; only pairs whose first tap is
// not behind the second are there. A workgroup has one pair; an invocation has one channel of the first tap and four of
// the second, and writes their mirror images, too.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
const TAPS: u32 = 9u;
const ACCUMULATE: bool = false;
// @end

struct Params {
  problems: u32,
  slices: u32,
  channels: u32,
  padded: u32,
  part: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> parts: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> h: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

// Lengths in vec4.
fn sum_of(problem: u32, tap_a: u32, tap_b: u32, channel: u32, block: u32) -> vec4f {
  let blocks = params.padded / 4u;
  let part = params.part / 4u;
  var sum = vec4f(0.0);
  var at = problem * params.slices * part + ((tap_a * TAPS + tap_b) * params.padded + channel) * blocks + block;
  for (var slice = 0u; slice < params.slices; slice++) {
    sum += parts[at];
    at += part;
  }
  return sum;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  for (var pair = group.x; pair < TAPS * (TAPS + 1u) / 2u; pair += groups.x) {
    var tap_a = 0u;
    var tap_b = pair;
    while (tap_b >= TAPS) {
      tap_a++;
      tap_b -= TAPS - tap_a;
    }
    assemble(tap_a, tap_b, group.y * WORKGROUP_SIZE + lane, groups.y * WORKGROUP_SIZE);
  }
}

fn assemble(tap_a: u32, tap_b: u32, first: u32, step: u32) {
  let size = params.channels * TAPS;
  let blocks = params.padded / 4u;
  let all = params.problems * params.channels * blocks;
  for (var index = first; index < all; index += step) {
    let block = index % blocks;
    let channel = index / blocks % params.channels;
    let problem = index / (blocks * params.channels);
    // Of one tap, what is left of the diagonal is the mirror image.
    if (tap_a == tap_b && 4u * block + 3u < channel) { continue; }
    let result = params.scale * sum_of(problem, tap_a, tap_b, channel, block);
    let row = channel * TAPS + tap_a;
    for (var c = 0u; c < 4u; c++) {
      let second = 4u * block + c;
      if (second >= params.channels || (tap_a == tap_b && second < channel)) { continue; }
      let column = second * TAPS + tap_b;
      let at = (problem * size + row) * size + column;
      var value = result[c];
      if (ACCUMULATE) { value += h[at]; }
      h[at] = value;
      h[(problem * size + column) * size + row] = value;
    }
  }
}
