// Concave utility of attention earned: each synapse keeps a ledger of what it was paid, and its payment counts for the
// less, the more it owns.
//   ledger = keep · ledger + m(payment),   payment *= (endowment + ledger)^(-aversion)
// w, payment, ledger: any one shape; numbers: [members, 3], each network's keep, endowment and aversion in place of the
// uniforms'. m by MEASURE: 0 |payment|, 1 payment², 2 |w · payment| (growth of attention). UTILITY names an aversion: 1 is 1
// (logarithm), 2 is ½ (Adagrad's), 0 any.

// @constants
const MEASURE: u32 = 0u;
const UTILITY: u32 = 0u;
const HAS_NUMBERS: bool = false;
// @end

// Four elements at a time; the host makes the form for sizes that 4 does not divide (f32).
alias Item = vec4f;

struct Params {
  count: u32,
  members: u32,
  keep: f32,
  endowment: f32,
  aversion: f32,
}

@group(0) @binding(0) var<storage, read> w: array<Item>;
@group(0) @binding(1) var<storage, read> numbers: array<f32>;
@group(0) @binding(2) var<storage, read_write> payment: array<Item>;
@group(0) @binding(3) var<storage, read_write> ledger: array<Item>;
@group(0) @binding(4) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

// owned^(-aversion); what is used most needs no logarithm.
fn rate_of(owned: Item, aversion: f32) -> Item {
  switch UTILITY {
    case 1u: { return 1.0 / owned; }
    case 2u: { return 1.0 / sqrt(owned); }
    default: { return pow(owned, Item(-aversion)); }
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let own = params.count / params.members;
  let step = groups.x * groups.y * WORKGROUP_SIZE;
  for (var i = id.x + id.y * groups.x * WORKGROUP_SIZE; i < params.count; i += step) {
    let p = payment[i];
    var measure = abs(p);
    if (MEASURE == 1u) { measure = p * p; }
    if (MEASURE == 2u) { measure = abs(w[i] * p); }
    var keep = params.keep;
    var endowment = params.endowment;
    var aversion = params.aversion;
    if (HAS_NUMBERS) {
      let at = 3u * (i / own);
      keep = numbers[at];
      endowment = numbers[at + 1u];
      aversion = numbers[at + 2u];
    }
    let owned = keep * ledger[i] + measure;
    ledger[i] = owned;
    payment[i] = p * rate_of(endowment + owned, aversion);
  }
}
