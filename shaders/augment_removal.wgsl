// Sets squares of size × size pixels to `fill`, all channels alike; the squares' corners are draws u0, u1 (and u2, u3
// for the next square): `squares` of them, two a row of draws, rows further on by `copies`.
// x, y: [samples · copies, channels, height, width]; draws: [⌈squares / 2⌉ · copies, 4]. One element an invocation.

// @constants
const WORKGROUP_SIZE: u32 = 64u;
// @end

struct Params {
  count: u32,
  copies: u32,
  channels: u32,
  height: u32,
  width: u32,
  squares: u32,
  size: u32,
  fill: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> draws: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.count) { return; }
  let column = index % params.width;
  let row = index / params.width % params.height;
  let image = index / (params.width * params.height * params.channels);
  var inside = false;
  let places = max(vec2f(f32(params.height), f32(params.width)) - f32(params.size) + 1.0, vec2f(1.0));
  for (var square = 0u; square < params.squares; square++) {
    let both = draws[image % params.copies + square / 2u * params.copies];
    let corner = vec2u(places * select(both.xy, both.zw, square % 2u == 1u));
    let offset = vec2u(row, column) - corner;
    inside = inside || (offset.x < params.size && offset.y < params.size);
  }
  y[index] = select(x[index], params.fill, inside);
}
