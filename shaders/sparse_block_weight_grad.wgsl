// Weight gradient of a product with block-sparse weights, at the stored blocks only. Each invocation keeps a
// HEIGHT × WIDTH part of one block in registers and walks the rows.
//   dvalues[block] = mask ∘ Σ_rows x[row, the block's inputs]ᵀ · dy[row, the block's outputs]
// x: [rows, inputs], dy: [rows, outputs], inputs and outputs multiples of 4; with CHANNELS_FIRST x: [images, inputs,
// plane], dy: [images, outputs, plane], plane a multiple of 4. places[block]: its first input and first output, both
// divided by 4. dvalues, mask: [blocks][in][out]; what lies past the edge of the weights has mask 0.

// @constants
const HEIGHT: u32 = 8u;
const WIDTH: u32 = 8u;
const GROUP: u32 = 8u;
const CHANNELS_FIRST: bool = false;
const HAS_MASK: bool = false;
const UNROLL: bool = true;
const VECTORS: u32 = WIDTH / 4u;
const QUADS: u32 = HEIGHT / 4u;
// @end

struct Params {
  // Rows of x, or vec4 of the plane.
  rows: u32,
  inputs: u32,
  outputs: u32,
  images: u32,
  // Invocations, and how many of them share a block along its inputs and its outputs.
  parts: u32,
  split_in: u32,
  split_out: u32,
  // vec4 a row of a block and vec4 a block.
  pitch: u32,
  block_size: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read> places: array<vec2u>;
@group(0) @binding(3) var<storage, read> mask: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> dvalues: array<vec4f>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(GROUP)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let part = id.x + id.y * groups.x * GROUP;
  if (part >= params.parts) { return; }
  let part_out = part % params.split_out;
  let part_in = (part / params.split_out) % params.split_in;
  let block = part / (params.split_out * params.split_in);
  let first = places[block] + vec2u(part_in * QUADS, part_out * VECTORS);
  let rows = params.rows;

  // sum[p][j]: gradient of the weights from input p to the outputs of vector j.
  // @scalars
  var sum: array<array<vec4f, VECTORS>, HEIGHT>;
  // @scalars
  var d: array<array<vec4f, VECTORS>, 4>;
  if (CHANNELS_FIRST) {
    // Where the channels start; past the edge the last one repeats.
    // @scalars
    var x_at: array<u32, HEIGHT>;
    // @scalars
    var dy_at: array<u32, WIDTH>;
    for (var image = 0u; image < params.images; image++) {
      // @unroll
      for (var p = 0u; p < HEIGHT; p++) {
        x_at[p] = (image * params.inputs + min(4u * first.x + p, params.inputs - 1u)) * rows;
      }
      // @unroll
      for (var j = 0u; j < WIDTH; j++) {
        dy_at[j] = (image * params.outputs + min(4u * first.y + j, params.outputs - 1u)) * rows;
      }
      for (var r = 0u; r < rows; r++) {
        // @unroll
        for (var j = 0u; j < VECTORS; j++) {
          let d0 = dy[dy_at[4u * j] + r];
          let d1 = dy[dy_at[4u * j + 1u] + r];
          let d2 = dy[dy_at[4u * j + 2u] + r];
          let d3 = dy[dy_at[4u * j + 3u] + r];
          d[0u][j] = vec4f(d0.x, d1.x, d2.x, d3.x);
          d[1u][j] = vec4f(d0.y, d1.y, d2.y, d3.y);
          d[2u][j] = vec4f(d0.z, d1.z, d2.z, d3.z);
          d[3u][j] = vec4f(d0.w, d1.w, d2.w, d3.w);
        }
        // @unroll
        for (var p = 0u; p < HEIGHT; p++) {
          let v = x[x_at[p] + r];
          // @unroll
          for (var j = 0u; j < VECTORS; j++) {
            sum[p][j] = fma(vec4f(v.x), d[0u][j], sum[p][j]);
            sum[p][j] = fma(vec4f(v.y), d[1u][j], sum[p][j]);
            sum[p][j] = fma(vec4f(v.z), d[2u][j], sum[p][j]);
            sum[p][j] = fma(vec4f(v.w), d[3u][j], sum[p][j]);
          }
        }
      }
    }
  } else {
    // @scalars
    var x_at: array<u32, QUADS>;
    // @scalars
    var dy_at: array<u32, VECTORS>;
    // @unroll
    for (var q = 0u; q < QUADS; q++) {
      x_at[q] = min(first.x + q, params.inputs / 4u - 1u);
    }
    // @unroll
    for (var j = 0u; j < VECTORS; j++) {
      dy_at[j] = min(first.y + j, params.outputs / 4u - 1u);
    }
    for (var r = 0u; r < rows; r++) {
      // @unroll
      for (var j = 0u; j < VECTORS; j++) {
        d[0u][j] = dy[dy_at[j] + r * (params.outputs / 4u)];
      }
      // @unroll
      for (var q = 0u; q < QUADS; q++) {
        let v = x[x_at[q] + r * (params.inputs / 4u)];
        // @unroll
        for (var j = 0u; j < VECTORS; j++) {
          sum[4u * q][j] = fma(vec4f(v.x), d[0u][j], sum[4u * q][j]);
          sum[4u * q + 1u][j] = fma(vec4f(v.y), d[0u][j], sum[4u * q + 1u][j]);
          sum[4u * q + 2u][j] = fma(vec4f(v.z), d[0u][j], sum[4u * q + 2u][j]);
          sum[4u * q + 3u][j] = fma(vec4f(v.w), d[0u][j], sum[4u * q + 3u][j]);
        }
      }
    }
  }

  let start = block * params.block_size + part_in * HEIGHT * params.pitch + part_out * VECTORS;
  // @unroll
  for (var p = 0u; p < HEIGHT; p++) {
    // @unroll
    for (var j = 0u; j < VECTORS; j++) {
      let at = start + p * params.pitch + j;
      if (HAS_MASK) {
        dvalues[at] = select(vec4f(0.0), sum[p][j], mask[at] != vec4f(0.0));
      } else {
        dvalues[at] = sum[p][j];
      }
    }
  }
}
