// The Hessian of a layer's inputs from the sums that spade_gram made.
//   h[problem][(c, i, j)][(c', i', j')] (+)= scale · Σ_slices Σ_classes parts[…]
// SHARED: a product of two taps depends on their distance alone but for the image's edges, so the sums are by distance
// (di, dj) and by class of rows and columns of the first tap's place: kernel - 1 first ones, the inside, kernel - 1 last
// ones. Tap i takes the classes i to i + kernel_height - 1. parts: [problems, slices, classes_y, classes_x,
// kernel_height (di), padded (c), 2 · kernel_width - 1 (dj), padded (c')]; only di > 0, or di = 0 and dj >= 0, and
// rows and columns with `class` in [first, end) are there.
// Otherwise parts: [problems, slices, taps, taps, padded, padded], the first tap not behind the second.
// `padded` is the channels in whole vec4. A workgroup has one pair of taps, the first not behind the second, so that
// all its invocations add up the same classes; an invocation has one channel of the first tap and four of the second,
// and writes their mirror images, too.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
const KERNEL_HEIGHT: u32 = 3u;
const KERNEL_WIDTH: u32 = 3u;
const SHARED: bool = true;
// @end

const TAPS: u32 = KERNEL_HEIGHT * KERNEL_WIDTH;

struct Params {
  problems: u32,
  slices: u32,
  channels: u32,
  padded: u32,
  first_y: u32,
  end_y: u32,
  first_x: u32,
  end_x: u32,
  part: u32,
  accumulate: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> parts: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> h: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

// Lengths in vec4.
fn sum_of(problem: u32, tap_a: u32, tap_b: u32, channel: u32, block: u32) -> vec4f {
  let blocks = params.padded / 4u;
  let part = params.part / 4u;
  let start = problem * params.slices * part;
  var sum = vec4f(0.0);
  if (SHARED) {
    let y = tap_a / KERNEL_WIDTH;
    let x = tap_a % KERNEL_WIDTH;
    let distance_y = tap_b / KERNEL_WIDTH - y;
    let distance_x = tap_b % KERNEL_WIDTH + KERNEL_WIDTH - 1u - x;
    let run = 2u * KERNEL_WIDTH - 1u;
    let one = params.padded * run * blocks;
    let first_x = max(x, params.first_x);
    let end_x = min(x + KERNEL_WIDTH, params.end_x);
    let first_y = max(y, params.first_y);
    let end_y = min(y + KERNEL_HEIGHT, params.end_y);
    for (var slice = 0u; slice < params.slices; slice++) {
      var subtotal = vec4f(0.0);
      for (var cy = first_y; cy < end_y; cy++) {
        var at = start + slice * part + ((cy * run + first_x) * KERNEL_HEIGHT + distance_y) * one +
          (channel * run + distance_x) * blocks + block;
        for (var cx = first_x; cx < end_x; cx++) {
          subtotal += parts[at];
          at += KERNEL_HEIGHT * one;
        }
      }
      sum += subtotal;
    }
  } else {
    var at = start + ((tap_a * TAPS + tap_b) * params.padded + channel) * blocks + block;
    for (var slice = 0u; slice < params.slices; slice++) {
      sum += parts[at];
      at += part;
    }
  }
  return sum;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  for (var pair = group.y; pair < TAPS * (TAPS + 1u) / 2u; pair += groups.y) {
    var tap_a = 0u;
    var tap_b = pair;
    while (tap_b >= TAPS) {
      tap_a++;
      tap_b -= TAPS - tap_a;
    }
    assemble(tap_a, tap_b, group.x * WORKGROUP_SIZE + lane, groups.x * WORKGROUP_SIZE);
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
      if (params.accumulate != 0u) { value += h[at]; }
      h[at] = value;
      h[(problem * size + column) * size + row] = value;
    }
  }
}
