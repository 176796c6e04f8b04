// The matrices that are factored: damped Hessians with rows and columns in reverse, filled up to whole blocks by the identity.
//   m_rc = h_{d-1-r, d-1-c}, and on the diagonal + damping · mean of the diagonal; inputs that are always 0 have 1 there
// h: [problems, size, size]; m: [width, width] of all problems one behind the other, width a multiple of SIDE, of which these
// are those from `first` on and begin at `start`; places: [all], where in m a problem begins, in vec4, and its width in blocks,
// written here; failed: u32 [all], 0 from here on. A workgroup has SIDE rows.

// @constants
const SIDE: u32 = 32u;
const WORKGROUP_SIZE: u32 = 64u;
// @end

struct Params {
  problems: u32,
  size: u32,
  width: u32,
  first: u32,
  start: u32,
  damping: f32,
}

@group(0) @binding(0) var<storage, read> h: array<f32>;
@group(0) @binding(1) var<storage, read_write> m: array<f32>;
@group(0) @binding(2) var<storage, read_write> places: array<vec2u>;
@group(0) @binding(3) var<storage, read_write> failed: array<u32>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> sums: array<f32, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let flat = workgroup.x + workgroup.y * workgroups.x;
  let blocks = params.width / SIDE;
  let problem = flat / blocks;
  if (problem >= params.problems) { return; }
  let size = params.size;
  let start = problem * size * size;

  var own = 0.0;
  for (var j = lane; j < size; j += WORKGROUP_SIZE) { own += diagonal(h[start + j * size + j]); }
  sums[lane] = own;
  workgroupBarrier();
  var total = 0.0;
  for (var i = 0u; i < WORKGROUP_SIZE; i++) { total += sums[i]; }
  let added = params.damping * total / f32(size);

  let first_row = flat % blocks * SIDE;
  let matrix = params.start + problem * params.width * params.width;
  if (first_row == 0u && lane == 0u) {
    places[params.first + problem] = vec2u(matrix / 4u, blocks);
    failed[params.first + problem] = 0u;
  }
  for (var row = first_row; row < first_row + SIDE; row++) {
    let target_at = matrix + row * params.width;
    for (var column = lane; column < params.width; column += WORKGROUP_SIZE) {
      var value = 0.0;
      if (max(row, column) < size) {
        value = h[start + (size - 1u - row) * size + size - 1u - column];
        if (row == column) { value = diagonal(value) + added; }
      } else if (row == column) {
        value = 1.0;
      }
      m[target_at + column] = value;
    }
  }
}

fn diagonal(value: f32) -> f32 {
  return select(value, 1.0, value == 0.0);
}
