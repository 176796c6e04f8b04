// Rounds to float16, two values a word; what follows an odd number of values is 0.
//   y[w] = half(x[2w]) | half(x[2w + 1]) << 16
// x: any shape, of count values; y: [⌈count / 2⌉]. The nearest float16, of two that are equally near the even one;
// 65520 and more give infinity. WGSL leaves its own conversion's rounding open, so this one works on the bits: every
// adapter gives the same.

struct Params {
  count: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

// m / 2^shift, rounded to the nearest whole number, halves to the even one.
fn shifted(m: u32, shift: u32) -> u32 {
  return (m + (1u << (shift - 1u)) - 1u + ((m >> shift) & 1u)) >> shift;
}

fn half(v: f32) -> u32 {
  let bits = bitcast<u32>(v);
  let sign = (bits >> 16u) & 0x8000u;
  let size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) { return sign | 0x7e00u; }
  if (size >= 0x477ff000u) { return sign | 0x7c00u; }
  // From 2^-14 on: 13 bits of the fraction go, and the exponent's bias falls from 127 to 15.
  if (size >= 0x38800000u) { return sign | (shifted(size, 13u) - (112u << 10u)); }
  // Below it in steps of 2^-24; up to half a step is 0.
  if (size <= 0x33000000u) { return sign; }
  return sign | shifted((size & 0x7fffffu) | 0x800000u, 126u - (size >> 23u));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let word = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let first = 2u * word;
  if (first >= params.count) { return; }
  var result = half(x[first]);
  if (first + 1u < params.count) { result |= half(x[first + 1u]) << 16u; }
  y[word] = result;
}
