// Adds one to a counter of one or two words, the low word first.
//   counter += 1, with a carry into counter[1] if there is one
// counter: [1] or [2].

struct Params {
  words: u32,
}

@group(0) @binding(0) var<storage, read_write> counter: array<u32>;
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(1)
fn main() {
  let next = counter[0] + 1u;
  counter[0] = next;
  if (params.words == 2u && next == 0u) { counter[1] += 1u; }
}
