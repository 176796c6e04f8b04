// Bilinear resize with pixel centers aligned (align_corners false), no anti-aliasing.
//   y[plane][i][j] = (1 - v) ((1 - u) x[top][left] + u x[top][right])
//                  + v ((1 - u) x[bottom][left] + u x[bottom][right])
// top = floor(p), v = p - top, bottom = top + 1 held within the image, p = max((i + 1/2) height / y_height -
// 1/2, 0), and the same across. x: [planes, height, width], y: [planes, y_height, y_width]; count: elements
// of y. Positions are fractions of whole numbers: in f32 they would lose the digits of u and v on large
// images.

struct Params {
  count: u32,
  height: u32,
  width: u32,
  y_height: u32,
  y_width: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

struct Mix {
  low: u32,
  high: u32,
  share: f32,
}

fn mix_at(i: u32, size: u32, y_size: u32) -> Mix {
  // The position times 2 y_size.
  let numerator = max((2u * i + 1u) * size, y_size) - y_size;
  let low = numerator / (2u * y_size);
  let rest = numerator - low * 2u * y_size;
  return Mix(low, min(low + 1u, size - 1u), f32(rest) / f32(2u * y_size));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let step = groups.x * groups.y * WORKGROUP_SIZE;
  for (var i = id.x + id.y * groups.x * WORKGROUP_SIZE; i < params.count; i += step) {
    let line = i / params.y_width;
    let plane = line / params.y_height;
    let down = mix_at(line - plane * params.y_height, params.height, params.y_height);
    let across = mix_at(i - line * params.y_width, params.width, params.y_width);
    let top = (plane * params.height + down.low) * params.width;
    let bottom = (plane * params.height + down.high) * params.width;
    let upper = mix(x[top + across.low], x[top + across.high], across.share);
    let lower = mix(x[bottom + across.low], x[bottom + across.high], across.share);
    y[i] = mix(upper, lower, down.share);
  }
}
