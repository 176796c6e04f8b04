// Whether the largest logit of a sample, the first of equals, stands at its label.
//   correct[n] = 1 if argmax over j of logits[n, j] == labels[n], else 0
// logits: [samples, classes], labels: [samples], u32, correct: [samples]. A label that is no class is never
// correct.

struct Params {
  samples: u32,
  classes: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> correct: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let sample = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (sample >= params.samples) { return; }
  let start = sample * params.classes;
  var largest = logits[start];
  var predicted = 0u;
  for (var j = 1u; j < params.classes; j++) {
    let v = logits[start + j];
    if (v > largest) {
      largest = v;
      predicted = j;
    }
  }
  correct[sample] = select(0.0, 1.0, predicted == labels[sample]);
}
