// Radix sort, step 1 of 3 of a pass: how often each of the 16 values of a 4-bit digit stands in each chunk of
// a row.
//   counts[row][digit][chunk] = #{ i in chunk : (keys[row][i] >> shift) & 15 = digit }
// keys: [rows, quads] vec4; counts: [rows, 16, chunks], a row cut into chunks of CHUNK vec4, one an
// invocation. Sixteen counters of a byte each fit one vec4u, so there is neither a private array nor an
// atomic.

// @constants
const CHUNK: u32 = 32u;
// @end

struct Params {
  rows: u32,
  quads: u32,
  chunks: u32,
  shift: u32,
}

@group(0) @binding(0) var<storage, read> keys: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> counts: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
const LANES = vec4u(0u, 1u, 2u, 3u);

// Digit d is counted in byte d % 4 of component d / 4; four times CHUNK is at most 255.
fn one_of(digit: u32) -> vec4u {
  return select(vec4u(0u), vec4u(1u << ((digit & 3u) * 8u)), vec4u(digit >> 2u) == LANES);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let flat = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let row = flat / params.chunks;
  let chunk = flat % params.chunks;
  if (row >= params.rows) { return; }
  let start = row * params.quads + chunk * CHUNK;
  let end = row * params.quads + min((chunk + 1u) * CHUNK, params.quads);

  var counters = vec4u(0u);
  for (var i = start; i < end; i++) {
    let digits = (keys[i] >> vec4u(params.shift)) & vec4u(15u);
    counters += one_of(digits.x) + one_of(digits.y) + one_of(digits.z) + one_of(digits.w);
  }

  var at = row * 16u * params.chunks + chunk;
  for (var byte = 0u; byte < 4u; byte++) {
    let four = (counters >> vec4u(byte * 8u)) & vec4u(255u);
    counts[at] = four.x;
    counts[at + 4u * params.chunks] = four.y;
    counts[at + 8u * params.chunks] = four.z;
    counts[at + 12u * params.chunks] = four.w;
    at += params.chunks;
  }
}
