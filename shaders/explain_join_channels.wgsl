// One map an image of the maps of its channels, and the part of it that is wanted.
//   joined = JOIN 0: a[n][c][p] for each channel; 1: sum over c of a[n][c][p]; 2: the entry of largest size,
//            the first of equals
//   y = SIGN 0: joined; 1: |joined|; 2: max(joined, 0); 3: max(-joined, 0)
// a: [n, channels, size]; y: [n, size], or a's shape with JOIN 0; count: elements of y.

// @constants
const JOIN: u32 = 1u;
const SIGN: u32 = 0u;
// @end

struct Params {
  count: u32,
  channels: u32,
  size: u32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (i >= params.count) { return; }
  var joined = 0.0;
  if (JOIN == 0u) {
    joined = a[i];
  } else {
    let first = (i / params.size) * params.channels * params.size + i % params.size;
    for (var channel = 0u; channel < params.channels; channel++) {
      let value = a[first + channel * params.size];
      if (JOIN == 1u) {
        joined += value;
      } else if (channel == 0u || abs(value) > abs(joined)) {
        joined = value;
      }
    }
  }
  switch SIGN {
    case 1u: { joined = abs(joined); }
    case 2u: { joined = max(joined, 0.0); }
    case 3u: { joined = max(-joined, 0.0); }
    default: {}
  }
  y[i] = joined;
}
