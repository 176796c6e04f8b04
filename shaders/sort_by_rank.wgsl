// Stable argsort of short rows by counting: an element's place is the number of elements that come before it.
//   rank(i) = #{ j : keys[j] < keys[i], or keys[j] = keys[i] and j < i }
//   indices[rank(i)] = i  if rank(i) < keep
// keys: [rows, quads] vec4, padded with the largest word, which never comes before an element; indices:
// [rows, keep], the first `keep` of the order of the n elements. Each invocation ranks four neighbors against
// four at a time.

struct Params {
  rows: u32,
  n: u32,
  quads: u32,
  keep: u32,
}

@group(0) @binding(0) var<storage, read> keys: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> indices: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

// For each of four elements: 1 if the element `other` at position j comes before it.
fn before(other: u32, j: u32, key: vec4u, own: vec4u) -> vec4u {
  let first = (vec4u(other) < key) | ((vec4u(other) == key) & (vec4u(j) < own));
  return select(vec4u(0u), vec4u(1u), first);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let flat = id.x + id.y * groups.x * WORKGROUP_SIZE;
  let row = flat / params.quads;
  if (row >= params.rows) { return; }
  let start = row * params.quads;
  let own = (flat - start) * 4u + vec4u(0u, 1u, 2u, 3u);
  let key = keys[flat];

  var rank = vec4u(0u);
  for (var quad = 0u; quad < params.quads; quad++) {
    let others = keys[start + quad];
    let j = quad * 4u;
    rank += before(others.x, j, key, own);
    rank += before(others.y, j + 1u, key, own);
    rank += before(others.z, j + 2u, key, own);
    rank += before(others.w, j + 3u, key, own);
  }

  let target_start = row * params.keep;
  if (own.x < params.n && rank.x < params.keep) { indices[target_start + rank.x] = own.x; }
  if (own.y < params.n && rank.y < params.keep) { indices[target_start + rank.y] = own.y; }
  if (own.z < params.n && rank.z < params.keep) { indices[target_start + rank.z] = own.z; }
  if (own.w < params.n && rank.w < params.keep) { indices[target_start + rank.w] = own.w; }
}
