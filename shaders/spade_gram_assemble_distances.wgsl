// The Hessian of a layer's inputs from the sums that spade_gram made by distance of two taps.
//   h[problem][(c, i, j)][(c', i + di, j + dj)] (+)= scale · Σ_slices Σ_classes parts[…]
// A product of two taps depends on their distance (di, dj) alone but for the image's edges, so the sums are by distance
// and by class of rows and columns of the first tap's place: kernel - 1 first ones, the inside, kernel - 1 last ones. Tap i
// takes the classes i to i + KERNEL_HEIGHT - 1, tap j likewise.
// parts: [problems, slices, classes_y, classes_x, KERNEL_HEIGHT (di), padded (c), 2 · KERNEL_WIDTH - 1 (dj + KERNEL_WIDTH - 1),
// padded (c')], `padded` the channels in whole vec4; only di > 0, or di = 0 and dj >= 0, and rows and columns with
// `class` in [FIRST, END) are there. A workgroup has one distance; an invocation has one channel of the first tap and four of
// the second, loads each of their sums once for all taps at that distance, and writes the mirror images, too.
// On SwiftShader a loop pays for the length of each array that it reads, a division a lane, so small kernels are unrolled.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
const KERNEL_HEIGHT: u32 = 3u;
const KERNEL_WIDTH: u32 = 3u;
const FIRST_Y: u32 = 0u;
const END_Y: u32 = 5u;
const FIRST_X: u32 = 0u;
const END_X: u32 = 5u;
const ACCUMULATE: bool = false;
const UNROLL: bool = true;
const TAPS: u32 = KERNEL_HEIGHT * KERNEL_WIDTH;
const RUN: u32 = 2u * KERNEL_WIDTH - 1u;
const RUN_Y: u32 = 2u * KERNEL_HEIGHT - 1u;
// @end

const DISTANCES: u32 = KERNEL_HEIGHT * RUN - KERNEL_WIDTH + 1u;

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

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  for (var distance = group.x; distance < DISTANCES; distance += groups.x) {
    let place = distance + KERNEL_WIDTH - 1u;
    assemble(place / RUN, place % RUN, group.y * WORKGROUP_SIZE + lane, groups.y * WORKGROUP_SIZE);
  }
}

// distance_x: dj + KERNEL_WIDTH - 1.
fn assemble(distance_y: u32, distance_x: u32, first: u32, step: u32) {
  // Lengths in vec4.
  let blocks = params.padded / 4u;
  let part = params.part / 4u;
  let one = params.padded * RUN * blocks;
  // First taps with a second one at the distance.
  let first_j = KERNEL_WIDTH - 1u - min(distance_x, KERNEL_WIDTH - 1u);
  let end_j = min(KERNEL_WIDTH, RUN - distance_x);
  let end_i = KERNEL_HEIGHT - distance_y;
  let is_same = distance_y == 0u && distance_x == KERNEL_WIDTH - 1u;
  let all = params.problems * params.channels * blocks;
  for (var index = first; index < all; index += step) {
    let line = index / blocks;
    let block = index - line * blocks;
    let problem = line / params.channels;
    let channel = line - problem * params.channels;
    // Of one tap, what is left of the diagonal is the mirror image.
    if (is_same && 4u * block + 3u < channel) { continue; }
    let start = problem * params.slices * part + distance_y * one + (channel * RUN + distance_x) * blocks + block;
    // By row of classes and column of the first tap.
    // @scalars
    var row: array<array<vec4f, KERNEL_WIDTH>, RUN_Y>;
    // @unroll
    for (var cy = 0u; cy < RUN_Y; cy++) {
      // @unroll
      for (var j = 0u; j < KERNEL_WIDTH; j++) {
        row[cy][j] = vec4f(0.0);
      }
    }
    // The sums of one row of classes. What is not there of a distance, at the far edges, is of no tap's classes.
    // @scalars
    var value: array<vec4f, RUN>;
    // @unroll
    for (var cx = 0u; cx < RUN; cx++) {
      value[cx] = vec4f(0.0);
    }
    for (var slice = 0u; slice < params.slices; slice++) {
      let slice_at = start + slice * part;
      // @unroll
      for (var cy = FIRST_Y; cy < END_Y; cy++) {
        // @unroll
        for (var cx = FIRST_X; cx < END_X; cx++) {
          value[cx] = parts[slice_at + (cy * RUN + cx) * KERNEL_HEIGHT * one];
        }
        // @unroll
        for (var j = 0u; j < KERNEL_WIDTH; j++) {
          var classes = value[j];
          // @unroll
          for (var c = 1u; c < KERNEL_WIDTH; c++) {
            classes += value[j + c];
          }
          row[cy][j] += classes;
        }
      }
    }
    // A loop over the stores, which are long texts on SwiftShader.
    var result: array<vec4f, TAPS>;
    // @unroll
    for (var i = 0u; i < KERNEL_HEIGHT; i++) {
      // @unroll
      for (var j = 0u; j < KERNEL_WIDTH; j++) {
        var classes = row[i][j];
        // @unroll
        for (var c = 1u; c < KERNEL_HEIGHT; c++) {
          classes += row[i + c][j];
        }
        result[i * KERNEL_WIDTH + j] = params.scale * classes;
      }
    }
    let size = params.channels * TAPS;
    let h_at = problem * size * size;
    for (var i = 0u; i < end_i; i++) {
      for (var j = first_j; j < end_j; j++) {
        let row_at = channel * TAPS + i * KERNEL_WIDTH + j;
        let tap = (i + distance_y) * KERNEL_WIDTH + j + distance_x - (KERNEL_WIDTH - 1u);
        let values = result[i * KERNEL_WIDTH + j];
        // @unroll
        for (var e = 0u; e < 4u; e++) {
          let second = 4u * block + e;
          if (second < params.channels && !(is_same && second < channel)) {
            let column_at = second * TAPS + tap;
            let at = h_at + row_at * size + column_at;
            var total = values[e];
            if (ACCUMULATE) { total += h[at]; }
            h[at] = total;
            h[h_at + column_at * size + row_at] = total;
          }
        }
      }
    }
  }
}
