// Images shifted, turned and scaled, by bilinear weights.
//   y[n][c][q] = fill + sum over p of weight(p - s(q)) (x[n][c][p] - fill)
//   s(q) = A (q - middle) + middle + t,  weight(d) = max(0, 1 - |d.x|) max(0, 1 - |d.y|)
// with GRADIENT its transpose, without fill, x being dy and y dx:
//   dx[n][c][p] = sum over q of weight(p - s(q)) dy[n][c][q]
// transforms: [n, 6], A's rows and t, as (x, y); x, y: [n, channels, height, width], count elements.
// The transpose looks at the q around the place that s takes to p: as far as the inverse of A stretches a pixel.

// @constants
const GRADIENT: bool = false;
// @end

struct Params {
  count: u32,
  channels: u32,
  height: u32,
  width: u32,
  fill: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> transforms: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (i >= params.count) { return; }
  let size = params.height * params.width;
  let plane = (i / size) * size;
  let own = vec2f(f32(i % params.width), f32((i % size) / params.width));
  let middle = 0.5 * vec2f(f32(params.width) - 1.0, f32(params.height) - 1.0);
  let first = (i / (size * params.channels)) * 6u;
  let right = vec2f(transforms[first], transforms[first + 3u]);
  let down = vec2f(transforms[first + 1u], transforms[first + 4u]);
  let shift = vec2f(transforms[first + 2u], transforms[first + 5u]);
  let last = vec2f(f32(params.width) - 1.0, f32(params.height) - 1.0);
  var sum = 0.0;
  if (GRADIENT) {
    let scale = 1.0 / (right.x * down.y - down.x * right.y);
    let to = own - middle - shift;
    let center = scale * vec2f(down.y * to.x - down.x * to.y, right.x * to.y - right.y * to.x) + middle;
    let reach = abs(scale) * vec2f(abs(down.y) + abs(down.x), abs(right.x) + abs(right.y));
    let low = max(ceil(center - reach), vec2f(0.0));
    let high = min(floor(center + reach), last);
    for (var row = low.y; row <= high.y; row += 1.0) {
      for (var column = low.x; column <= high.x; column += 1.0) {
        let q = vec2f(column, row) - middle;
        let place = q.x * right + q.y * down + middle + shift;
        let weight = max(vec2f(0.0), 1.0 - abs(own - place));
        sum += weight.x * weight.y * x[plane + u32(row) * params.width + u32(column)];
      }
    }
  } else {
    let q = own - middle;
    let place = q.x * right + q.y * down + middle + shift;
    let low = max(floor(place), vec2f(0.0));
    let high = min(floor(place) + 1.0, last);
    sum = params.fill;
    for (var row = low.y; row <= high.y; row += 1.0) {
      for (var column = low.x; column <= high.x; column += 1.0) {
        let weight = max(vec2f(0.0), 1.0 - abs(vec2f(column, row) - place));
        sum += weight.x * weight.y * (x[plane + u32(row) * params.width + u32(column)] - params.fill);
      }
    }
  }
  y[i] = sum;
}
