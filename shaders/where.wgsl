// Chooses between two tensors, or numbers, element by element.
//   y[i] = condition[i] != 0 ? a[i] : b[i]
// condition, a, b, y: one shape; without a or b a number stands in its place.

// @constants
const HAS_A: bool = true;
const HAS_B: bool = true;
// @end

// Four elements an invocation; the host makes the form for sizes that 4 does not divide (f32).
alias Item = vec4f;

struct Params {
  count: u32,
  number_a: f32,
  number_b: f32,
}

@group(0) @binding(0) var<storage, read> condition: array<Item>;
@group(0) @binding(1) var<storage, read> a: array<Item>;
@group(0) @binding(2) var<storage, read> b: array<Item>;
@group(0) @binding(3) var<storage, read_write> y: array<Item>;
@group(0) @binding(4) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.count) { return; }
  var chosen = Item(params.number_a);
  var other = Item(params.number_b);
  if (HAS_A) { chosen = a[index]; }
  if (HAS_B) { other = b[index]; }
  y[index] = select(other, chosen, condition[index] != Item(0.0));
}
