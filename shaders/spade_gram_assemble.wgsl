// The Hessian of a layer's inputs from the sums that spade_gram made.
//   h[problem][(c, i, j)][(c', i', j')] (+)= scale · Σ_slices Σ_classes parts[…]
// SHARED: a product of two taps depends on their distance alone but for the image's edges, so the sums are by distance
// (di, dj) and by class of rows and columns of the first tap's place: kernel - 1 first ones, the inside, kernel - 1 last
// ones. Tap i takes the classes i to i + kernel_height - 1. parts: [problems, slices, classes_y, classes_x,
// kernel_height (di), padded (c), 2 · kernel_width - 1 (dj), padded (c')]; only di > 0, or di = 0 and dj >= 0, and
// rows and columns with `class` in [first, end) are there.
// Otherwise parts: [problems, slices, taps, taps, padded, padded], the first tap not behind the second.
// `padded` is the channels in whole vec4. One element of h, and its mirror image, an invocation; the filter's size is
// constant, since divisions by numbers that are not known are dear.

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

@group(0) @binding(0) var<storage, read> parts: array<f32>;
@group(0) @binding(1) var<storage, read_write> h: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

fn sum_of(problem: u32, row: u32, column: u32) -> f32 {
  // Of a pair, the one with the first tap, or of one tap the first channel, is there.
  let swapped = column % TAPS < row % TAPS;
  let a = select(row, column, swapped);
  let b = select(column, row, swapped);
  let tap_a = a % TAPS;
  let tap_b = b % TAPS;
  let channel_a = a / TAPS;
  let channel_b = b / TAPS;
  let start = problem * params.slices * params.part;
  var sum = 0.0;
  if (SHARED) {
    let y = tap_a / KERNEL_WIDTH;
    let x = tap_a % KERNEL_WIDTH;
    let distance_y = tap_b / KERNEL_WIDTH - y;
    let distance_x = tap_b % KERNEL_WIDTH + KERNEL_WIDTH - 1u - x;
    let run = 2u * KERNEL_WIDTH - 1u;
    let block = params.padded * run * params.padded;
    let at = start + distance_y * block + (channel_a * run + distance_x) * params.padded + channel_b;
    let first_x = max(x, params.first_x);
    let end_x = min(x + KERNEL_WIDTH, params.end_x);
    for (var slice = 0u; slice < params.slices; slice++) {
      var subtotal = 0.0;
      for (var cy = max(y, params.first_y); cy < min(y + KERNEL_HEIGHT, params.end_y); cy++) {
        for (var cx = first_x; cx < end_x; cx++) {
          subtotal += parts[at + slice * params.part + (cy * run + cx) * KERNEL_HEIGHT * block];
        }
      }
      sum += subtotal;
    }
  } else {
    let at = start + ((tap_a * TAPS + tap_b) * params.padded + channel_a) * params.padded + channel_b;
    for (var slice = 0u; slice < params.slices; slice++) { sum += parts[at + slice * params.part]; }
  }
  return sum;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let size = params.channels * TAPS;
  let row = id.y;
  let column = id.x;
  if (column >= size || column < row) { return; }
  for (var problem = id.z; problem < params.problems; problem += groups.z) {
    let at = (problem * size + row) * size + column;
    let result = select(0.0, h[at], params.accumulate != 0u) + params.scale * sum_of(problem, row, column);
    h[at] = result;
    h[(problem * size + column) * size + row] = result;
  }
}
