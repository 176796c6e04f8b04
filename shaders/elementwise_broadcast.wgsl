// One function of two tensors of different shapes, by NumPy's rule: shapes are aligned at the last axis, and
// an axis of 1 (or a missing one) is repeated.
//   y[i, j] = f(a[i · strides_a + j · step_a], b[i · strides_b + j · step_b])
// The host joins axes that both tensors walk (or repeat) alike: j is the place in the last joined axis, of
// size inner, and i the places in up to eight joined axes before it, the last of them first. A repeated axis
// has stride 0. f is OPERATION: 0 add, 1 subtract, 2 multiply, 3 divide, 5 minimum, 6 maximum, 7 greater, 8
// less, 9 equal (1 or 0), 10 add scaled: a + scale · b, 11 b itself. (4, power, takes b repeated and
// elementwise_binary.)

// @constants
const OPERATION: u32 = 0u;
const SWAP: bool = false;
// @end

struct Params {
  sizes: vec4u,
  more_sizes: vec4u,
  strides_a: vec4u,
  more_strides_a: vec4u,
  strides_b: vec4u,
  more_strides_b: vec4u,
  rows: u32,
  inner: u32,
  chunks: u32,
  axes: u32,
  step_a: u32,
  step_b: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
// An invocation takes so many neighbors of one row, so that the row's place is worked out once for all.
const CHUNK = 4u;

// The places of a row in a and b, and what is left of its number after the axes taken so far.
struct Cursor {
  at_a: u32,
  at_b: u32,
  rest: u32,
}

fn take(cursor: Cursor, size: u32, stride_a: u32, stride_b: u32) -> Cursor {
  let position = cursor.rest % size;
  return Cursor(cursor.at_a + position * stride_a, cursor.at_b + position * stride_b, cursor.rest / size);
}

fn take_four(start: Cursor, sizes: vec4u, strides_of_a: vec4u, strides_of_b: vec4u) -> Cursor {
  var cursor = take(start, sizes.x, strides_of_a.x, strides_of_b.x);
  cursor = take(cursor, sizes.y, strides_of_a.y, strides_of_b.y);
  cursor = take(cursor, sizes.z, strides_of_a.z, strides_of_b.z);
  return take(cursor, sizes.w, strides_of_a.w, strides_of_b.w);
}

fn apply(p: vec4f, q: vec4f) -> vec4f {
  switch OPERATION {
    case 0u: { return p + q; }
    case 1u: { return p - q; }
    case 2u: { return p * q; }
    case 3u: { return p / q; }
    case 5u: { return min(p, q); }
    case 6u: { return max(p, q); }
    case 7u: { return select(vec4f(0.0), vec4f(1.0), p > q); }
    case 8u: { return select(vec4f(0.0), vec4f(1.0), p < q); }
    case 9u: { return select(vec4f(0.0), vec4f(1.0), p == q); }
    case 10u: { return fma(vec4f(params.scale), q, p); }
    default: { return q; }
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let row = index / params.chunks;
  if (row >= params.rows) { return; }
  var cursor = Cursor(0u, 0u, row);
  if (params.axes == 1u) {
    cursor = Cursor(row * params.strides_a.x, row * params.strides_b.x, 0u);
  } else if (params.axes > 1u) {
    cursor = take_four(cursor, params.sizes, params.strides_a, params.strides_b);
    if (params.axes > 4u) {
      cursor = take_four(cursor, params.more_sizes, params.more_strides_a, params.more_strides_b);
    }
  }

  let column = (index % params.chunks) * CHUNK;
  let columns = min(vec4u(column) + vec4u(0u, 1u, 2u, 3u), vec4u(params.inner - 1u));
  let from_a = cursor.at_a + columns * params.step_a;
  let from_b = cursor.at_b + columns * params.step_b;
  let p = vec4f(a[from_a.x], a[from_a.y], a[from_a.z], a[from_a.w]);
  let q = vec4f(b[from_b.x], b[from_b.y], b[from_b.z], b[from_b.w]);
  var value: vec4f;
  if (SWAP) {
    value = apply(q, p);
  } else {
    value = apply(p, q);
  }

  let start = row * params.inner + column;
  let left = params.inner - column;
  y[start] = value.x;
  if (left > 1u) { y[start + 1u] = value.y; }
  if (left > 2u) { y[start + 2u] = value.z; }
  if (left > 3u) { y[start + 3u] = value.w; }
}
