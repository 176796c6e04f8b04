// Sort keys: u32 words whose ascending order is the order wanted of the values.
//   keys[row][i] = order(x[row][i]) xor flip  for i < n, and the largest word for the padding behind
// x: [rows, n], the words of u32 or (is_float) f32 values; keys: [rows, width], width = n rounded up to a
// multiple of 4. u32 values are held to at most `limit`. A float's order: negative ones have all bits
// inverted, the others the sign bit set; -0 counts as +0, so that the two are equal. flip: 0 for ascending,
// 0xffffffff for descending order.

struct Params {
  n: u32,
  width: u32,
  count: u32,
  is_float: u32,
  flip: u32,
  limit: u32,
}

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> keys: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
const SIGN = 0x80000000u;
const LARGEST = 0xffffffffu;

fn order_of_float(word: u32) -> u32 {
  if (word == SIGN) { return SIGN; }
  return word ^ select(SIGN, LARGEST, word > SIGN);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let step = groups.x * groups.y * WORKGROUP_SIZE;
  for (var i = id.x + id.y * groups.x * WORKGROUP_SIZE; i < params.count; i += step) {
    let column = i % params.width;
    var key = LARGEST;
    if (column < params.n) {
      let word = x[(i / params.width) * params.n + column];
      key = params.flip ^ select(min(word, params.limit), order_of_float(word), params.is_float == 1u);
    }
    keys[i] = key;
  }
}
