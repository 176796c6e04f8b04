// n:m sparsity: of every `length` neighboring columns of a row, `keep` with the largest scores stay, of equal ones the
// later; a shorter run at the end keeps its share, rounded up.
//   score = w² · scale of its column;  mask = 1 if it stays, else 0
// w, mask: [problems, size, outputs]; scale: [problems, size]; the columns from `first`, which begins a run, to `end`.
// One run of one row an invocation.

struct Params {
  problems: u32,
  size: u32,
  outputs: u32,
  first: u32,
  end: u32,
  keep: u32,
  length: u32,
}

@group(0) @binding(0) var<storage, read> w: array<f32>;
@group(0) @binding(1) var<storage, read> scale: array<f32>;
@group(0) @binding(2) var<storage, read_write> mask: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

fn score(line: u32, row: u32) -> f32 {
  let value = w[line * params.outputs + row];
  return value * value * scale[line];
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * 64;
  let runs = (params.end - params.first + params.length - 1u) / params.length;
  let row = index % params.outputs;
  let start = params.first + index / params.outputs % runs * params.length;
  let problem = index / (params.outputs * runs);
  if (problem >= params.problems) { return; }
  let length = min(params.length, params.end - start);
  let removed = length - (length * params.keep + params.length - 1u) / params.length;
  let line = problem * params.size + start;
  for (var j = 0u; j < length; j++) {
    let own = score(line + j, row);
    // How many go before this one.
    var rank = 0u;
    for (var other = 0u; other < length; other++) {
      let theirs = score(line + other, row);
      rank += select(0u, 1u, theirs < own || (theirs == own && other < j));
    }
    mask[(line + j) * params.outputs + row] = select(1.0, 0.0, rank < removed);
  }
}
