// Weighted sums of neighbors along one axis, four results an invocation: a blur of images is one down and one
// across.
//   y[o][p][i] = Σ_t weights[t] x[o][border(p - lead + t)][i]
// x: [outer, size, inner], y: [outer, y_size, inner], weights: [taps]. border: 0 positions past the ends
// count as zeros, 1 they are mirrored about the end pixels, 2 the end pixels are repeated.

struct Params {
  outer: u32,
  size: u32,
  y_size: u32,
  inner: u32,
  taps: u32,
  lead: u32,
  border: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let flat = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let quads = (params.y_size + 3u) / 4u;
  let i = flat % params.inner;
  let p = 4u * ((flat / params.inner) % quads);
  let outer = flat / (params.inner * quads);
  if (outer >= params.outer) { return; }
  let x_start = outer * params.size * params.inner + i;
  let last = i32(params.size) - 1;

  // At each step one pixel meets the weights that it has in the four results.
  var window = vec4f(0.0);
  var sum = vec4f(0.0);
  for (var t = 0u; t < params.taps + 3u; t++) {
    var next = 0.0;
    if (t < params.taps) { next = weights[t]; }
    window = vec4f(next, window.xyz);
    var position = i32(p + t) - i32(params.lead);
    let outside = position < 0 || position > last;
    if (params.border == 1u) { position = last - abs(last - abs(position)); }
    position = clamp(position, 0, last);
    if (!(outside && params.border == 0u)) {
      sum += window * x[x_start + u32(position) * params.inner];
    }
  }

  let y_start = (outer * params.y_size + p) * params.inner + i;
  y[y_start] = sum.x;
  if (p + 1u < params.y_size) { y[y_start + params.inner] = sum.y; }
  if (p + 2u < params.y_size) { y[y_start + 2u * params.inner] = sum.z; }
  if (p + 3u < params.y_size) { y[y_start + 3u * params.inner] = sum.w; }
}
