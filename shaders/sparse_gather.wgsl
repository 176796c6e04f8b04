// The weights of a sparse matrix in the order of its transpose.
//   y[i] = values[positions[i]], or 0 where positions[i] is 2³² - 1
// values: any size; positions, y: [count].

struct Params {
  count: u32,
}

@group(0) @binding(0) var<storage, read> values: array<f32>;
@group(0) @binding(1) var<storage, read> positions: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
const NOTHING = 0xffffffffu;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index < params.count) {
    let position = positions[index];
    y[index] = select(values[min(position, arrayLength(&values) - 1u)], 0.0, position == NOTHING);
  }
}
