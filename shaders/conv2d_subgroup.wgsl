// Convolution that shares its weights between the lanes of a subgroup, as matmul_subgroup does with a: one workgroup
// is LANES lanes, each lane keeps TILE_O channels × TILE_P positions of the result in registers; all lanes have the
// same channels. Each weight is loaded by one lane and broadcast, with no barrier and no columns in memory. For
// software adapters, where a load is computed lane by lane and costs many times a multiply-add.
// The sums, phases and uniforms are those of conv2d_register_tile, in both directions; the dilation along x must
// divide the stride.
//
// A lane's positions are a strip of one row. Then there are runs of taps along x, of which each meets what the one
// before met, one position further: a step to the next tap moves the values of x along and loads one new position.
// Forward, a run is every slide-th tap, where slide · dilation is the stride; backward, all taps of a phase, from
// the last one to the first, as they lead the other way.
//
// Four taps are multiplied at a time, so that a sum goes back to its variable once for four products: those of four
// channels, or, ALONG_Y, of four rows of the window of one channel. What is past the last channel or row or the
// edge of x counts as zero, whatever is loaded there.
// The subgroup must have at least LANES lanes.
enable subgroups;

// @constants
const TILE_O: u32 = 16u;
const TILE_P: u32 = 4u;
const LANES: u32 = 4u;
const ALONG_Y: bool = false;
const BLOCKS_P: u32 = TILE_P / 4u;
const LOADS_W: u32 = (TILE_O + LANES - 1u) / LANES;
// @end

struct Params {
  images: u32,
  groups: u32,
  inputs: u32,
  outputs: u32,
  height: u32,
  width: u32,
  rows: u32,
  columns: u32,
  kernel_height: u32,
  kernel_width: u32,
  w_input: u32,
  w_output: u32,
  step_y: u32,
  step_x: u32,
  tap_step_y: i32,
  tap_step_x: i32,
  skip_y: u32,
  skip_x: u32,
  offset_y: i32,
  offset_x: i32,
  dilation_y: u32,
  dilation_x: u32,
  phases_y: u32,
  phases_x: u32,
  tiles_o: u32,
  has_bias: u32,
  activation: u32,
  slope: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

struct Phase {
  x: u32,
  y: u32,
  columns: u32,
  rows: u32,
}

struct Taps {
  first: u32,
  count: u32,
  // Where the first tap stands in x for q = 0.
  start: i32,
}

fn taps_of(phase: u32, phases: u32, offset: i32, kernel: u32, dilation: u32, skip: u32) -> Taps {
  let place = i32(phase) + offset;
  var first = 0u;
  while (first < skip && (place - i32(first * dilation)) % i32(phases) != 0) { first++; }
  if (first >= min(skip, kernel)) { return Taps(0u, 0u, 0); }
  return Taps(first, (kernel - first + skip - 1u) / skip, (place - i32(first * dilation)) / i32(phases));
}

// Taps along x of which each meets x one position further than the one before.
struct Run {
  tap: u32,
  tap_step: u32,
  count: u32,
  // Where the first tap of the strip's first position stands in x, for a strip that begins at 0.
  start: i32,
}

fn run_of(number: u32, taps: Taps) -> Run {
  if (params.tap_step_x < 0) {
    let last = taps.count - 1u;
    return Run(taps.first + last * params.skip_x, 0u - params.skip_x, taps.count, taps.start - i32(last));
  }
  let slide = params.step_x / params.dilation_x;
  return Run(number, slide, (taps.count - number + slide - 1u) / slide, taps.start + i32(number * params.dilation_x));
}

fn load(at: u32, inside: bool) -> f32 {
  return select(0.0, x[at], inside);
}

// tanh, accurate near 0 as WGSL's own is not: an odd polynomial below 0.65, else 1 - 2 / (e^2|v| + 1).
fn hyperbolic_tangent(v: f32) -> f32 {
  let size = min(abs(v), 15.0);
  let z = size * size;
  var p = fma(z, -0.005515161902, 0.02046941780);
  p = fma(p, z, -0.05368802324);
  p = fma(p, z, 0.1333083063);
  p = fma(p, z, -0.3333325983);
  let near = fma(size * z, p, size);
  let far = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
  let result = select(far, near, size < 0.65);
  return select(result, -result, v < 0.0);
}

fn activate(v: f32) -> f32 {
  if (params.activation == 3u) { return hyperbolic_tangent(v); }
  if (params.activation == 4u) { return 1.0 / (1.0 + exp(-max(v, -80.0))); }
  // Not 0 · v where the slope is 0: that is NaN for -infinity.
  let negative = select(params.slope * v, 0.0, params.slope == 0.0);
  return select(v, negative, v < 0.0);
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  var rest = group.x + group.y * groups.x;
  let first_o = rest % params.tiles_o * TILE_O;
  rest /= params.tiles_o;
  let phase_x = rest % params.phases_x;
  rest /= params.phases_x;
  let phase_y = rest % params.phases_y;
  rest /= params.phases_y;
  let channel_group = rest % params.groups;
  if (phase_y >= params.rows || phase_x >= params.columns) { return; }
  let phase = Phase(
    phase_x,
    phase_y,
    (params.columns - phase_x + params.phases_x - 1u) / params.phases_x,
    (params.rows - phase_y + params.phases_y - 1u) / params.phases_y);
  let strips_a_row = (phase.columns + TILE_P - 1u) / TILE_P;
  let strips = params.images * phase.rows * strips_a_row;
  let first_strip = rest / params.groups * LANES;
  if (first_strip >= strips) { return; }
  // Lanes past the last strip repeat it, since all lanes of a subgroup must take part in a broadcast; what they
  // compute is not stored.
  let strip = min(first_strip + lane, strips - 1u);
  let position = strip % strips_a_row * TILE_P;
  let row_of_strip = strip / strips_a_row;
  let position_y = row_of_strip % phase.rows;
  let image = row_of_strip / phase.rows;

  let plane = params.height * params.width;
  let image_at = (image * params.groups + channel_group) * params.inputs * plane;
  let step = i32(params.step_x);
  let width = i32(params.width);
  // The channels of the tile are dealt to the lanes in turn: this lane loads the weights of lane + LANES · l.
  // @scalars
  var w_at: array<u32, LOADS_W>;
  let weights_a_group = params.kernel_height * params.kernel_width * params.inputs * params.outputs;
  // @unroll
  for (var l = 0u; l < LOADS_W; l++) {
    w_at[l] = channel_group * weights_a_group + min(first_o + lane + LANES * l, params.outputs - 1u) * params.w_output;
  }

  let taps_y = taps_of(
    phase_y, params.phases_y, params.offset_y, params.kernel_height, params.dilation_y, params.skip_y);
  let taps_x = taps_of(
    phase_x, params.phases_x, params.offset_x, params.kernel_width, params.dilation_x, params.skip_x);
  let forward_runs = min(taps_x.count, params.step_x / params.dilation_x);
  let runs = select(min(taps_x.count, 1u), forward_runs, params.tap_step_x > 0);
  // From one of the four taps to the next, in x and in w.
  let x_next = select(plane, u32(params.tap_step_y * width), ALONG_Y);
  let w_next = select(params.w_input, params.skip_y * params.kernel_width, ALONG_Y);
  let row_step = select(1u, 4u, ALONG_Y);
  let channel_step = select(4u, 1u, ALONG_Y);
  // sum[o][b] has four positions, and so has value[u][b] for each of the four taps.
  // @scalars
  var sum: array<array<vec4f, BLOCKS_P>, TILE_O>;
  // @scalars
  var value: array<array<vec4f, BLOCKS_P>, 4>;
  // @scalars
  var ok: array<bool, 4>;
  // @scalars
  var part: array<vec4f, LOADS_W>;
  for (var number = 0u; number < runs; number++) {
    let run = run_of(number, taps_x);
    let first_column = i32(position) * step + run.start;
    for (var i = 0u; i < taps_y.count; i += row_step) {
      let row = i32(position_y * params.step_y) + taps_y.start + i32(i) * params.tap_step_y;
      for (var c = 0u; c < params.inputs; c += channel_step) {
        let left = select(params.inputs - c, taps_y.count - i, ALONG_Y);
        let base = image_at + c * plane + u32(row * width);
        // @unroll
        for (var u = 0u; u < 4u; u++) {
          let tap_row = row + select(0, i32(u) * params.tap_step_y, ALONG_Y);
          ok[u] = u < left && u32(tap_row) < params.height;
        }
        // One position behind: the first tap moves them to their places.
        var column = first_column;
        // @unroll
        for (var u = 0u; u < 4u; u++) {
          let at = base + u * x_next + u32(first_column);
          value[u][0u] = vec4f(
            0.0,
            load(at, ok[u] && u32(first_column) < params.width),
            load(at + params.step_x, ok[u] && u32(first_column + step) < params.width),
            load(at + 2u * params.step_x, ok[u] && u32(first_column + 2 * step) < params.width));
          // @unroll
          for (var b = 1u; b < BLOCKS_P; b++) {
            let behind = first_column + (4 * i32(b) - 1) * step;
            let there = at + (4u * b - 1u) * params.step_x;
            value[u][b] = vec4f(
              load(there, ok[u] && u32(behind) < params.width),
              load(there + params.step_x, ok[u] && u32(behind + step) < params.width),
              load(there + 2u * params.step_x, ok[u] && u32(behind + 2 * step) < params.width),
              load(there + 3u * params.step_x, ok[u] && u32(behind + 3 * step) < params.width));
          }
        }
        column += i32(TILE_P - 1u) * step;
        var tap = c * params.w_input + (taps_y.first + i * params.skip_y) * params.kernel_width + run.tap;
        for (var j = 0u; j < run.count; j++) {
          let in_x = u32(column) < params.width;
          // @unroll
          for (var u = 0u; u < 4u; u++) {
            // @unroll
            for (var b = 1u; b < BLOCKS_P; b++) {
              value[u][b - 1u] = vec4f(value[u][b - 1u].yzw, value[u][b].x);
            }
            let entering = load(base + u * x_next + u32(column), ok[u] && in_x);
            value[u][BLOCKS_P - 1u] = vec4f(value[u][BLOCKS_P - 1u].yzw, entering);
          }
          // @unroll
          for (var l = 0u; l < LOADS_W; l++) {
            let at = w_at[l] + tap;
            part[l] = vec4f(
              w[at],
              select(0.0, w[at + w_next], left > 1u),
              select(0.0, w[at + 2u * w_next], left > 2u),
              select(0.0, w[at + 3u * w_next], left > 3u));
          }
          // @unroll
          for (var o = 0u; o < TILE_O; o++) {
            let weight = subgroupBroadcast(part[o / LANES], o % LANES);
            // @unroll
            for (var b = 0u; b < BLOCKS_P; b++) {
              sum[o][b] += mat4x4f(value[0u][b], value[1u][b], value[2u][b], value[3u][b]) * weight;
            }
          }
          column += step;
          tap += run.tap_step;
        }
      }
    }
  }

  // A loop over the stores, which are long texts: unrolled they would take most of the compile time.
  var result: array<array<vec4f, BLOCKS_P>, TILE_O>;
  // @unroll
  for (var o = 0u; o < TILE_O; o++) {
    // @unroll
    for (var b = 0u; b < BLOCKS_P; b++) {
      result[o][b] = sum[o][b];
    }
  }
  if (first_strip + lane >= strips) { return; }
  let first_channel = channel_group * params.outputs + first_o;
  let y_plane = params.rows * params.columns;
  let y_row = phase.y + position_y * params.phases_y;
  let y_at = (image * params.groups * params.outputs + first_channel) * y_plane + y_row * params.columns + phase.x;
  for (var o = 0u; o < min(TILE_O, params.outputs - first_o); o++) {
    var offset = 0.0;
    if (params.has_bias != 0u) { offset = bias[first_channel + o]; }
    for (var p = 0u; p < min(TILE_P, phase.columns - position); p++) {
      let v = result[o][p / 4u][p % 4u] + offset;
      y[y_at + o * y_plane + (position + p) * params.phases_x] = activate(v);
    }
  }
}
