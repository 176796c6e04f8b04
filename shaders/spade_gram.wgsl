// Sums of outer products over positions, the Hessians of layers' inputs, without unfolding the images: a work item
// multiplies the channels at places a of an image with those at places b, which for a convolution are a tap's and a
// run of taps' (with the channels last, neighboring taps lie side by side).
//   parts[problem, slice][out + r][c] = Σ_positions x[a + position][r] · x[b + position][c]
// x: images with the channels last. items, 4 vec4u each, all lengths in vec4: (a, b, out, -), (rows / 4, columns / 4,
// length of a row of the block, -), and the counts and steps of three loops over positions, innermost first; a count
// of 0 stands for the images of this slice. parts: [problems, slices, 4 · part]. One workgroup an item, at most
// 8 GROUP_M rows and 4 GROUP_N columns; each invocation keeps 8 × 4 sums in registers, no barrier.

// @constants
const GROUP_M: u32 = 4u;
const GROUP_N: u32 = 8u;
// @end

struct Params {
  items: u32,
  slices: u32,
  groups: u32,
  problems: u32,
  // Vec4 from one group of channels, sample, slice to the next.
  group_step: u32,
  sample_step: u32,
  slice_step: u32,
  images: u32,
  slice_images: u32,
  part: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> items: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> parts: array<vec4f>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(GROUP_N, GROUP_M)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let flat = group.x + group.y * groups.x;
  let slice = flat / params.items % params.slices;
  let problem = flat / (params.items * params.slices);
  if (problem >= params.problems) { return; }
  let number = flat % params.items;
  let place = items[4u * number];
  let tile = items[4u * number + 1u];
  let counts = items[4u * number + 2u].xyz;
  let steps = items[4u * number + 3u].xyz;
  let row = 2u * local.y;
  let column = local.x;
  if (row >= tile.x || column >= tile.y) { return; }
  let images = min(params.slice_images, params.images - slice * params.slice_images);
  let count = select(counts, vec3u(images), counts == vec3u(0u));
  let start = problem / params.groups * params.sample_step + problem % params.groups * params.group_step +
    slice * params.slice_step;
  let first_at = start + place.x + row;
  let second_at = start + place.x + min(row + 1u, tile.x - 1u);
  let b_at = start + place.y + column;

  var s0 = vec4f(0.0);
  var s1 = vec4f(0.0);
  var s2 = vec4f(0.0);
  var s3 = vec4f(0.0);
  var s4 = vec4f(0.0);
  var s5 = vec4f(0.0);
  var s6 = vec4f(0.0);
  var s7 = vec4f(0.0);
  for (var outer = 0u; outer < count.z; outer++) {
    for (var middle = 0u; middle < count.y; middle++) {
      var position = outer * steps.z + middle * steps.y;
      for (var inner = 0u; inner < count.x; inner++) {
        let b = x[b_at + position];
        let first = x[first_at + position];
        let second = x[second_at + position];
        s0 = fma(vec4f(first.x), b, s0);
        s1 = fma(vec4f(first.y), b, s1);
        s2 = fma(vec4f(first.z), b, s2);
        s3 = fma(vec4f(first.w), b, s3);
        s4 = fma(vec4f(second.x), b, s4);
        s5 = fma(vec4f(second.y), b, s5);
        s6 = fma(vec4f(second.z), b, s6);
        s7 = fma(vec4f(second.w), b, s7);
        position += steps.x;
      }
    }
  }

  let target_at = (problem * params.slices + slice) * params.part + place.z + 4u * row * tile.z + column;
  parts[target_at] = s0;
  parts[target_at + tile.z] = s1;
  parts[target_at + 2u * tile.z] = s2;
  parts[target_at + 3u * tile.z] = s3;
  if (row + 1u < tile.x) {
    parts[target_at + 4u * tile.z] = s4;
    parts[target_at + 5u * tile.z] = s5;
    parts[target_at + 6u * tile.z] = s6;
    parts[target_at + 7u * tile.z] = s7;
  }
}
