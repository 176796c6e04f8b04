// The Hessian of a layer's inputs from the sums that spade_gram made.
//   h[problem][(c, i, j)][(c', i', j')] (+)= scale · Σ_slices Σ_classes parts[…]
// SHARED: a product of two taps depends on their distance alone but for the image's edges, so the sums are by distance
// (di, dj) and by class of rows and columns of the first tap's place: kernel - 1 first ones, the inside, kernel - 1 last
// ones. Tap i takes the classes i to i + kernel_height - 1. parts: [problems, slices, classes_y, classes_x,
// kernel_height (di), padded (c), 2 · kernel_width - 1 (dj), padded (c')]; only di > 0, or di = 0 and dj >= 0, and
// rows and columns with `class` in [first, end) are there.
// Otherwise parts: [problems, slices, taps, taps, padded, padded], the first tap not behind the second.
// `padded` is the channels in whole vec4. One element of h an invocation.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
const SHARED: bool = true;
// @end

struct Params {
  problems: u32,
  slices: u32,
  channels: u32,
  padded: u32,
  kernel_height: u32,
  kernel_width: u32,
  first_y: u32,
  end_y: u32,
  first_x: u32,
  end_x: u32,
  part: u32,
  accumulate: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> parts: array<f32>;
@group(0) @binding(1) var<storage, read_write> h: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let taps = params.kernel_height * params.kernel_width;
  let size = params.channels * taps;
  let problem = index / (size * size);
  if (problem >= params.problems) { return; }
  let row = index / size % size;
  let column = index % size;
  // Of a pair, the one with the first tap, or of one tap the first channel, is there.
  let swapped = column % taps < row % taps || (column % taps == row % taps && column < row);
  let a = select(row, column, swapped);
  let b = select(column, row, swapped);
  let tap_a = a % taps;
  let tap_b = b % taps;
  let channel_a = a / taps;
  let channel_b = b / taps;
  let start = problem * params.slices * params.part;
  var sum = 0.0;
  if (SHARED) {
    let y = tap_a / params.kernel_width;
    let x = tap_a % params.kernel_width;
    let distance_y = tap_b / params.kernel_width - y;
    let distance_x = tap_b % params.kernel_width + params.kernel_width - 1u - x;
    let run = 2u * params.kernel_width - 1u;
    let block = params.padded * run * params.padded;
    let at = start + distance_y * block + (channel_a * run + distance_x) * params.padded + channel_b;
    let first_x = max(x, params.first_x);
    let end_x = min(x + params.kernel_width, params.end_x);
    for (var slice = 0u; slice < params.slices; slice++) {
      var subtotal = 0.0;
      for (var cy = max(y, params.first_y); cy < min(y + params.kernel_height, params.end_y); cy++) {
        for (var cx = first_x; cx < end_x; cx++) {
          subtotal += parts[at + slice * params.part + (cy * run + cx) * params.kernel_height * block];
        }
      }
      sum += subtotal;
    }
  } else {
    let at = start + ((tap_a * taps + tap_b) * params.padded + channel_a) * params.padded + channel_b;
    for (var slice = 0u; slice < params.slices; slice++) { sum += parts[at + slice * params.part]; }
  }
  h[index] = select(0.0, h[index], params.accumulate != 0u) + params.scale * sum;
}
