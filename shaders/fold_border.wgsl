// The gradient of a border along one axis: what was taken for positions past the ends goes back to its
// pixels.
//   dx[o][k][i] = Σ_{p : border(p) = k} dy[o][p + radius][i],  p from -radius to size + radius - 1
// dy: [outer, size + 2 radius, inner], dx: [outer, size, inner]; count: elements of dx. border: 1 mirrored
// about the end pixels (radius < size), 2 the end pixels repeated.

struct Params {
  count: u32,
  size: u32,
  inner: u32,
  radius: u32,
  border: u32,
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let step = groups.x * groups.y * WORKGROUP_SIZE;
  let radius = params.radius;
  for (var at = id.x + id.y * groups.x * WORKGROUP_SIZE; at < params.count; at += step) {
    let line = at / params.inner;
    let outer = line / params.size;
    let k = line - outer * params.size;
    let to_end = params.size - 1u - k;
    let start = outer * (params.size + 2u * radius) * params.inner + at - line * params.inner;
    let own = start + (k + radius) * params.inner;
    var sum = dy[own];
    if (params.border == 1u) {
      if (k > 0u && k <= radius) { sum += dy[own - 2u * k * params.inner]; }
      if (to_end > 0u && to_end <= radius) { sum += dy[own + 2u * to_end * params.inner]; }
    } else {
      for (var past = 1u; past <= radius; past++) {
        if (k == 0u) { sum += dy[own - past * params.inner]; }
        if (to_end == 0u) { sum += dy[own + past * params.inner]; }
      }
    }
    dx[at] = sum;
  }
}
