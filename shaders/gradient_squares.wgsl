// Partial sums of squares of one tensor, for the norm over many (clip_factor.wgsl adds them up).
//   partials[first + k] = Σ_j x[k + j lanes]^2,  k from 0 to lanes - 1
// x: any shape; partials: one array for all tensors, in which `first` and `lanes` count items. Which elements
// meet in a sum depends on the size alone, so the norm is the same in every run.

// Four elements at a time; the host makes the form for sizes that 4 does not divide (f32).
alias Item = vec4f;

struct Params {
  count: u32,
  first: u32,
  lanes: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Item>;
@group(0) @binding(1) var<storage, read_write> partials: array<Item>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.lanes) { return; }
  var sum = Item(0.0);
  for (var i = id.x; i < params.count; i += params.lanes) {
    let v = x[i];
    sum += v * v;
  }
  partials[params.first + id.x] = sum;
}
