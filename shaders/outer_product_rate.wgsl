// What the synapses of a dense layer are paid by a batch, at the rate of who gets it: an outer product summed over the
// samples in registers, with the ledger and its rate in the epilogue.
//   raw[i, j] = Σ_s x[s, i] · signal[s, j],   payment[i, j] = raw[i, j] · rate
//   LEDGER     rate of the synapse, as ledger_rate.wgsl has it: ledger = keep · ledger + m(raw), rate = (endowment +
//              ledger)^(-aversion)
//   HAS_RATES  rate = rates[j], the receiver's, known before
//   EARNED     what the senders earn, raw: earned[i, tile] = Σ_j m(raw[i, j]) over a tile's receivers, for them to sum up
// m by MEASURE: 0 |raw|, 1 raw², 2 w · raw (growth of attention; the ledger takes its size, earned the growth itself).
// UTILITY names an aversion: 1 is 1 (logarithm), 2 is ½ (Adagrad's), 0 any.
// x: [members, samples, units], without it 1 everywhere (a bias: one unit); signal: [members, samples, receivers]; w,
// ledger, payment: [members, units, receivers]; rates: [members, receivers]; numbers: [members, 3], each network's keep,
// endowment and aversion in place of the uniforms'; earned: [members, units, tiles]. Ledger and earned may be empty.
// With LANES above 1 a workgroup is so many lanes of one subgroup with the same rows and neighboring receivers; each
// loads some values of x and hands them to all, as in matmul_subgroup.wgsl.

// @constants
const MEASURE: u32 = 0u;
const UTILITY: u32 = 0u;
const LEDGER: bool = false;
const EARNED: bool = false;
const HAS_X: bool = true;
const HAS_W: bool = false;
const HAS_NUMBERS: bool = false;
const HAS_RATES: bool = false;
const ROWS: u32 = 4u;
const WIDTH: u32 = 4u;
const TILE_M: u32 = 8u;
const BLOCKS_N: u32 = 1u;
const STEP: u32 = 1u;
const GROUP_M: u32 = 4u;
const GROUP_N: u32 = 8u;
const LANES: u32 = 1u;
const BLOCKS_M: u32 = TILE_M / ROWS;
const LOADS: u32 = (BLOCKS_M * STEP + LANES - 1u) / LANES;
// @end

// Four units and four receivers at a time; the host makes the forms for numbers that 4 does not divide (f32).
alias Rows = vec4f;
alias Item = vec4f;

struct Params {
  members: u32,
  samples: u32,
  units: u32,
  receivers: u32,
  tiles_m: u32,
  tiles_n: u32,
  keep: f32,
  endowment: f32,
  aversion: f32,
}

@group(0) @binding(0) var<storage, read> x: array<Rows>;
@group(0) @binding(1) var<storage, read> signal: array<Item>;
@group(0) @binding(2) var<storage, read> w: array<Item>;
@group(0) @binding(3) var<storage, read> rates: array<Item>;
@group(0) @binding(4) var<storage, read> numbers: array<f32>;
@group(0) @binding(5) var<storage, read_write> ledger: array<Item>;
@group(0) @binding(6) var<storage, read_write> payment: array<Item>;
@group(0) @binding(7) var<storage, read_write> earned: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

// A value of x of the lane that loaded it; alone it is one's own. The host makes the form that shares.
fn handed(value: Rows, lane: u32) -> Rows { return value; }

// owned^(-aversion); what is used most needs no logarithm.
fn rate_of(owned: Item, aversion: f32) -> Item {
  switch UTILITY {
    case 1u: { return 1.0 / owned; }
    case 2u: { return 1.0 / sqrt(owned); }
    default: { return pow(owned, Item(-aversion)); }
  }
}

@compute @workgroup_size(GROUP_N, GROUP_M)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
  @builtin(local_invocation_index) index: u32,
) {
  let flat = group.x + group.y * groups.x;
  let tile_n = flat % params.tiles_n;
  let tile_m = (flat / params.tiles_n) % params.tiles_m;
  let member = flat / (params.tiles_n * params.tiles_m);
  if (member >= params.members) { return; }
  let row = (tile_m * GROUP_M + local.y) * TILE_M;
  let tile = tile_n * GROUP_N + local.x;
  let block = tile * BLOCKS_N;
  let blocks_m = params.units / ROWS;
  let blocks_n = params.receivers / WIDTH;
  let lane = index % LANES;

  // The values of x of a step are dealt to the lanes in turn: number p is of sample p % STEP. Rows and columns past the
  // edge repeat the last ones and are not stored.
  // @scalars
  var x_at: array<u32, LOADS>;
  // @unroll
  for (var l = 0u; l < LOADS; l++) {
    x_at[l] = min(row / ROWS + (lane + LANES * l) / STEP, blocks_m - 1u);
  }
  // @scalars
  var signal_at: array<u32, BLOCKS_N>;
  // @unroll
  for (var j = 0u; j < BLOCKS_N; j++) {
    signal_at[j] = min(block + j, blocks_n - 1u);
  }

  // @scalars
  var sum: array<array<Item, BLOCKS_N>, TILE_M>;
  // @scalars
  var own: array<Rows, LOADS>;
  // @scalars
  var g: array<Item, BLOCKS_N>;
  let start = member * params.samples;
  let last = params.samples - 1u;
  for (var first = 0u; first < params.samples; first += STEP) {
    // @unroll
    for (var l = 0u; l < LOADS; l++) {
      let sample = first + (lane + LANES * l) % STEP;
      own[l] = Rows(1.0);
      if (HAS_X) { own[l] = x[(start + min(sample, last)) * blocks_m + x_at[l]]; }
      if (STEP > 1u) { own[l] = select(Rows(0.0), own[l], sample <= last); }
    }
    // @unroll
    for (var t = 0u; t < STEP; t++) {
      // @unroll
      for (var j = 0u; j < BLOCKS_N; j++) {
        g[j] = signal[(start + min(first + t, last)) * blocks_n + signal_at[j]];
      }
      // @unroll
      for (var i = 0u; i < BLOCKS_M; i++) {
        let h = vec4f(handed(own[(i * STEP + t) / LANES], (i * STEP + t) % LANES));
        // @unroll
        for (var r = 0u; r < ROWS; r++) {
          // @unroll
          for (var j = 0u; j < BLOCKS_N; j++) {
            sum[i * ROWS + r][j] = fma(Item(h[r]), g[j], sum[i * ROWS + r][j]);
          }
        }
      }
    }
  }

  var keep = params.keep;
  var endowment = params.endowment;
  var aversion = params.aversion;
  if (HAS_NUMBERS) {
    keep = numbers[3u * member];
    endowment = numbers[3u * member + 1u];
    aversion = numbers[3u * member + 2u];
  }
  // @scalars
  var total: array<Item, TILE_M>;
  // @unroll
  for (var j = 0u; j < BLOCKS_N; j++) {
    if (block + j < blocks_n) {
      var rate = Item(1.0);
      if (HAS_RATES) { rate = rates[member * blocks_n + block + j]; }
      // @unroll
      for (var i = 0u; i < TILE_M; i++) {
        if (row + i < params.units) {
          let at = (member * params.units + row + i) * blocks_n + block + j;
          let raw = sum[i][j];
          var measure = abs(raw);
          if (MEASURE == 1u) { measure = raw * raw; }
          if (HAS_W && MEASURE == 2u) { measure = w[at] * raw; }
          if (EARNED) { total[i] += measure; }
          if (LEDGER) {
            let owned = keep * ledger[at] + abs(measure);
            ledger[at] = owned;
            rate = rate_of(endowment + owned, aversion);
          }
          payment[at] = raw * rate;
        }
      }
    }
  }
  if (EARNED) {
    // @unroll
    for (var i = 0u; i < TILE_M; i++) {
      if (row + i < params.units) {
        // A scalar stands four times in its vec4f.
        let whole = dot(vec4f(total[i]), vec4f(f32(WIDTH) / 4.0));
        earned[(member * params.units + row + i) * params.tiles_n * GROUP_N + tile] = whole;
      }
    }
  }
}
