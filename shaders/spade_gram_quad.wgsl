// spade_gram for subgroups of 4 lanes (quads), in the manner of matmul_quad: one workgroup is a quad, which computes
// TILE_M rows of 4 TILE_N columns in registers. Lane l loads TILE_M / 4 rows and TILE_N columns, its own ones; a swap of
// the columns' values within the quad, a single shuffle, brings each lane those of another one, so that after four
// turns every row has met every column. No value is loaded twice in a quad, and none is broadcast.
//   parts[problem, slice][out + r][c] = Σ_positions x[a + position][r] · x[b + position][c]
// x: images with the channels last. items, 4 vec4u each, all lengths in vec4: (a, b, out, -), (rows / 4, columns / 4,
// length of a row of the block, -), and the counts and steps of three loops over positions, innermost first; a count
// of 0 stands for the images of this slice. parts: [problems, slices, 4 · part]. Each item is a tile of at most TILE_M
// rows and 4 TILE_N columns. Positions are taken 4 at a time. TILE_M must be a multiple of 16, TILE_N of 4.
enable subgroups;

// @constants
const TILE_M: u32 = 16u;
const TILE_N: u32 = 8u;
const ROWS: u32 = TILE_M / 4u;
const BLOCKS_M: u32 = ROWS / 4u;
const BLOCKS_N: u32 = TILE_N / 4u;
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

// The values of the lane whose number differs in the bits of `turn`.
fn swap(v: vec4f, turn: u32) -> vec4f {
  if (turn == 1u) { return quadSwapX(v); }
  if (turn == 2u) { return quadSwapY(v); }
  if (turn == 3u) { return quadSwapDiagonal(v); }
  return v;
}

@compute @workgroup_size(4)
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

  // @scalars
  var a_at: array<u32, BLOCKS_M>;
  // @unroll
  for (var i = 0u; i < BLOCKS_M; i++) {
    a_at[i] = start + place.x + min(lane * BLOCKS_M + i, tile.x - 1u);
  }
  // @scalars
  var b_at: array<u32, BLOCKS_N>;
  // @unroll
  for (var j = 0u; j < BLOCKS_N; j++) {
    b_at[j] = start + place.y + min(lane * BLOCKS_N + j, tile.y - 1u);
  }

  // sum[t][i][j] is the lane's row i, and block j of the columns of the lane that turn t swaps with; a_row[i] is row i
  // at four positions.
  // @scalars
  var sum: array<array<array<vec4f, BLOCKS_N>, ROWS>, 4>;
  // @scalars
  var a_row: array<vec4f, ROWS>;
  // One loop, not three: at the end of each the sums go back to their variables, which is dear.
  var first = 0u;
  var middle = 0u;
  var outer = 0u;
  let all = count.z * count.y * ((count.x + 3u) / 4u);
  for (var index = 0u; index < all; index++) {
    let row = outer * steps.z + middle * steps.y;
    // Past the last position a is 0, and the last place is loaded again.
    let positions = vec4u(first) + vec4u(0u, 1u, 2u, 3u);
    let at = vec4u(row) + min(positions, vec4u(count.x - 1u)) * steps.x;
    let is_there = positions < vec4u(count.x);
    // @unroll
    for (var i = 0u; i < BLOCKS_M; i++) {
      let four = transpose(mat4x4f(x[a_at[i] + at.x], x[a_at[i] + at.y], x[a_at[i] + at.z], x[a_at[i] + at.w]));
      a_row[4u * i] = select(vec4f(0.0), four[0], is_there);
      a_row[4u * i + 1u] = select(vec4f(0.0), four[1], is_there);
      a_row[4u * i + 2u] = select(vec4f(0.0), four[2], is_there);
      a_row[4u * i + 3u] = select(vec4f(0.0), four[3], is_there);
    }
    // @unroll
    for (var j = 0u; j < BLOCKS_N; j++) {
      let block = mat4x4f(x[b_at[j] + at.x], x[b_at[j] + at.y], x[b_at[j] + at.z], x[b_at[j] + at.w]);
      // @unroll
      for (var t = 0u; t < 4u; t++) {
        let turned = mat4x4f(swap(block[0], t), swap(block[1], t), swap(block[2], t), swap(block[3], t));
        // @unroll
        for (var i = 0u; i < ROWS; i++) {
          sum[t][i][j] += turned * a_row[i];
        }
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

  // A store is a long text on SwiftShader: a loop over the stores that is not unrolled compiles faster.
  var result: array<array<array<vec4f, BLOCKS_N>, ROWS>, 4>;
  // @unroll
  for (var t = 0u; t < 4u; t++) {
    // @unroll
    for (var i = 0u; i < ROWS; i++) {
      // @unroll
      for (var j = 0u; j < BLOCKS_N; j++) {
        result[t][i][j] = sum[t][i][j];
      }
    }
  }
  let target_at = (problem * params.slices + slice) * params.part + place.z;
  let rows = min(ROWS, 4u * tile.x - min(lane * ROWS, 4u * tile.x));
  for (var t = 0u; t < 4u; t++) {
    for (var j = 0u; j < BLOCKS_N; j++) {
      let column = (lane ^ t) * BLOCKS_N + j;
      if (column < tile.y) {
        for (var i = 0u; i < rows; i++) {
          parts[target_at + (lane * ROWS + i) * tile.z + column] = result[t][i][j];
        }
      }
    }
  }
}
