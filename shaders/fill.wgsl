// Sets every element.
//   y[i] = value
// y: any shape.

// Four elements an invocation; the host makes the form for sizes that 4 does not divide (f32).
alias Item = vec4f;

struct Params {
  count: u32,
  value: f32,
}

@group(0) @binding(0) var<storage, read_write> y: array<Item>;
@group(0) @binding(1) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index < params.count) {
    y[index] = Item(params.value);
  }
}
