// Radix sort, step 3 of 3 of a pass: every element goes to its place among the elements of its digit.
//   place = starts[row][digit][chunk] + (how many earlier elements of the chunk have the digit)
//   keys_out[place] = key, indices_out[place] = index
// keys, indices: [rows, quads] vec4; the first pass has no indices and takes the positions 0, 1, … of the
// row. starts: [rows, 16, chunks], the exclusive prefix sum of the counts over all rows, so that every row
// begins at its own start by itself. The last pass stores only the first `keep` places of a row, indices_out
// is [rows, keep], and leaves keys_out alone. An invocation takes the elements of its chunk in order, so the
// sort is stable.

// @constants
const CHUNK: u32 = 32u;
// @end

struct Params {
  rows: u32,
  quads: u32,
  chunks: u32,
  shift: u32,
  keep: u32,
  first: u32,
  last: u32,
}

@group(0) @binding(0) var<storage, read> keys: array<vec4u>;
@group(0) @binding(1) var<storage, read> indices: array<vec4u>;
@group(0) @binding(2) var<storage, read> starts: array<u32>;
@group(0) @binding(3) var<storage, read_write> keys_out: array<u32>;
@group(0) @binding(4) var<storage, read_write> indices_out: array<u32>;
@group(0) @binding(5) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
const LANES = vec4u(0u, 1u, 2u, 3u);

// How many elements of each digit have been placed: byte digit % 4 of component digit / 4.
var<private> placed: vec4u;
var<private> starts_at: u32;
var<private> row: u32;

fn put(key: u32, index: u32) {
  let digit = (key >> params.shift) & 15u;
  let byte = (digit & 3u) * 8u;
  let lane = vec4u(digit >> 2u) == LANES;
  let own = select(vec4u(0u), placed, lane);
  let before = ((own.x | own.y | own.z | own.w) >> byte) & 255u;
  placed += select(vec4u(0u), vec4u(1u << byte), lane);

  let place = starts[starts_at + digit * params.chunks] + before;
  if (params.last == 0u) {
    keys_out[place] = key;
    indices_out[place] = index;
    return;
  }
  let column = place - row * params.quads * 4u;
  if (column < params.keep) { indices_out[row * params.keep + column] = index; }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let flat = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let chunk = flat % params.chunks;
  row = flat / params.chunks;
  if (row >= params.rows) { return; }
  starts_at = row * 16u * params.chunks + chunk;
  let end = min((chunk + 1u) * CHUNK, params.quads);
  for (var quad = chunk * CHUNK; quad < end; quad++) {
    let key = keys[row * params.quads + quad];
    var index = quad * 4u + LANES;
    if (params.first == 0u) { index = indices[row * params.quads + quad]; }
    put(key.x, index.x);
    put(key.y, index.y);
    put(key.z, index.z);
    put(key.w, index.w);
  }
}
