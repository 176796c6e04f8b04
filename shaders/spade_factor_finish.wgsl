// What the solvers take of a factored Hessian: rows and columns in their own order again.
//   u_ij = m_{d-1-i, d-1-j} for j >= i, else 0;  alive_j = 0 where h_jj = 0, else 1;  scale_j = alive_j / u_jj²
// m of spade_factor_step, the inverses of the lower factors, of which these problems' are [problems, width, width] from `start`
// on; h, u: [problems, size, size]; scale, alive: [problems, size]. An invocation has four values of a row of u.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
// @end

struct Params {
  problems: u32,
  size: u32,
  width: u32,
  start: u32,
}

@group(0) @binding(0) var<storage, read> m: array<f32>;
@group(0) @binding(1) var<storage, read> h: array<f32>;
@group(0) @binding(2) var<storage, read_write> u: array<f32>;
@group(0) @binding(3) var<storage, read_write> scale: array<f32>;
@group(0) @binding(4) var<storage, read_write> alive: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let size = params.size;
  let quads = (size + 3u) / 4u;
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let line = index / quads;
  if (line >= params.problems * size) { return; }
  let problem = line / size;
  let i = line % size;
  let first = index % quads * 4u;
  let row = params.start + (problem * params.width + size - 1u - i) * params.width + size - 1u;
  for (var j = first; j < min(first + 4u, size); j++) {
    // Left of the diagonal the place that is read holds something else.
    let value = select(0.0, m[row - j], j >= i);
    u[line * size + j] = value;
    if (j == i) {
      let is_alive = h[line * size + j] != 0.0;
      alive[line] = select(0.0, 1.0, is_alive);
      scale[line] = select(0.0, 1.0 / (value * value), is_alive);
    }
  }
}
