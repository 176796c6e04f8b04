// Sums of outer products over positions, the Hessians of layers' inputs, without unfolding the images: a work item
// multiplies the channels at places a of an image with those at places b, which for a convolution are a tap's and a
// run of taps' (with the channels last, neighboring taps lie side by side).
//   parts[problem, slice][out + r][c] = Σ_positions x[a + position][r] · x[b + position][c]
// x: images with the channels last. items, 4 vec4u each, all lengths in vec4: (a, b, out, -), (rows / 4, columns / 4,
// length of a row of the block, -), and the counts and steps of three loops over positions, innermost first; a count
// of 0 stands for the images of this slice. parts: [problems, slices, 4 · part]. Each item is a
// tile of at most TILE_M rows and LANES · TILE_N columns. One workgroup is LANES lanes with the same rows and
// neighboring columns; each value of a is loaded by one lane and broadcast. Positions are taken 4 at a time.
enable subgroups;

// @constants
const TILE_M: u32 = 16u;
const TILE_N: u32 = 4u;
const LANES: u32 = 4u;
const UNROLL: bool = true;
const BLOCKS_M: u32 = TILE_M / 4u;
const BLOCKS_N: u32 = TILE_N / 4u;
const LOADS_A: u32 = TILE_M / LANES;
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

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
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
  let images = min(params.slice_images, params.images - slice * params.slice_images);
  let count = select(counts, vec3u(images), counts == vec3u(0u));
  let start = problem / params.groups * params.sample_step + problem % params.groups * params.group_step +
    slice * params.slice_step;

  // The vec4 of a are dealt to the lanes in turn: number lane + LANES · l is position number % 4 of block number / 4.
  // @scalars
  var a_at: array<u32, LOADS_A>;
  // @scalars
  var a_position: array<u32, LOADS_A>;
  // @unroll
  for (var l = 0u; l < LOADS_A; l++) {
    let part = lane + LANES * l;
    a_position[l] = part % 4u;
    a_at[l] = start + place.x + min(part / 4u, tile.x - 1u);
  }
  // @scalars
  var b_at: array<u32, BLOCKS_N>;
  // @unroll
  for (var j = 0u; j < BLOCKS_N; j++) {
    b_at[j] = start + place.y + min(lane * BLOCKS_N + j, tile.y - 1u);
  }

  // @scalars
  var sum: array<array<vec4f, BLOCKS_N>, TILE_M>;
  // @scalars
  var a_part: array<vec4f, LOADS_A>;
  // @scalars
  var a_row: array<vec4f, TILE_M>;
  // One loop, not three: at the end of each the sums go back to their variables, which is dear.
  var first = 0u;
  var middle = 0u;
  var outer = 0u;
  let all = count.z * count.y * ((count.x + 3u) / 4u);
  for (var index = 0u; index < all; index++) {
    let row = outer * steps.z + middle * steps.y;
    // Past the last position a is 0, and the last place is loaded again.
    // @unroll
    for (var l = 0u; l < LOADS_A; l++) {
      let position = first + a_position[l];
      let value = x[a_at[l] + row + min(position, count.x - 1u) * steps.x];
      a_part[l] = select(vec4f(0.0), value, position < count.x);
    }
    // @unroll
    for (var i = 0u; i < BLOCKS_M; i++) {
      let c0 = subgroupBroadcast(a_part[4u * i / LANES], 4u * i % LANES);
      let c1 = subgroupBroadcast(a_part[(4u * i + 1u) / LANES], (4u * i + 1u) % LANES);
      let c2 = subgroupBroadcast(a_part[(4u * i + 2u) / LANES], (4u * i + 2u) % LANES);
      let c3 = subgroupBroadcast(a_part[(4u * i + 3u) / LANES], (4u * i + 3u) % LANES);
      a_row[4u * i] = vec4f(c0.x, c1.x, c2.x, c3.x);
      a_row[4u * i + 1u] = vec4f(c0.y, c1.y, c2.y, c3.y);
      a_row[4u * i + 2u] = vec4f(c0.z, c1.z, c2.z, c3.z);
      a_row[4u * i + 3u] = vec4f(c0.w, c1.w, c2.w, c3.w);
    }
    let last = count.x - 1u;
    // @unroll
    for (var j = 0u; j < BLOCKS_N; j++) {
      let at = b_at[j] + row;
      let block = mat4x4f(
        x[at + first * steps.x],
        x[at + min(first + 1u, last) * steps.x],
        x[at + min(first + 2u, last) * steps.x],
        x[at + min(first + 3u, last) * steps.x],
      );
      // @unroll
      for (var i = 0u; i < TILE_M; i++) {
        sum[i][j] += block * a_row[i];
      }
    }
    first += 4u;
    let is_next_middle = first >= count.x;
    first = select(first, 0u, is_next_middle);
    middle += select(0u, 1u, is_next_middle);
    let is_next_outer = middle == count.y;
    middle = select(middle, 0u, is_next_outer);
    outer += select(0u, 1u, is_next_outer);
  }

  let target_at = (problem * params.slices + slice) * params.part + place.z;
  // @unroll
  for (var j = 0u; j < BLOCKS_N; j++) {
    let column = lane * BLOCKS_N + j;
    if (column < tile.y) {
      // @unroll
      for (var i = 0u; i < TILE_M; i++) {
        if (i < 4u * tile.x) { parts[target_at + i * tile.z + column] = sum[i][j]; }
      }
    }
  }
}
