// Product with block-sparse weights: register tiles, no barrier. Each invocation keeps TILE rows × one block's WIDTH
// of outputs and walks the stored blocks of that block column in slabs of 4 inputs.
//   y = activate(x · W + bias), or with TRANSPOSE (the input gradient) x · Wᵀ
// x: [rows, inputs], y: [rows, outputs], inputs and outputs multiples of 4; with CHANNELS_FIRST x: [images, inputs,
// plane], y: [images, outputs, plane], plane a multiple of 4. Blocks are stored [in][out]. slabs[s]:
// the vec4 of `values` where a slab starts, and its first input divided by 4; starts[b]: the first slab of output
// block b, one more than there are blocks. bias: [outputs].

// @constants
const TILE: u32 = 16u;
const WIDTH: u32 = 8u;
const GROUP: u32 = 8u;
const TRANSPOSE: bool = false;
const CHANNELS_FIRST: bool = false;
const HAS_BIAS: bool = false;
const ACTIVATION: u32 = 0u;
const UNROLL: bool = true;
const VECTORS: u32 = WIDTH / 4u;
const QUADS: u32 = TILE / 4u;
// @end

struct Params {
  // Rows of x, or vec4 of the plane.
  rows: u32,
  inputs: u32,
  outputs: u32,
  // Tiles of one image; rows are one image.
  tiles: u32,
  images: u32,
  // Columns of WIDTH outputs, how many of them make a block column, and vec4 a row of a stored block.
  columns: u32,
  split: u32,
  pitch: u32,
  slope: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> values: array<vec4f>;
@group(0) @binding(2) var<storage, read> slabs: array<vec2u>;
@group(0) @binding(3) var<storage, read> starts: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(6) var<uniform> params: Params;

fn activate(v: vec4f) -> vec4f {
  if (ACTIVATION == 1u) { return select(v, vec4f(0.0), v < vec4f(0.0)); }
  if (ACTIVATION == 2u) { return select(params.slope * v, v, v > vec4f(0.0)); }
  if (ACTIVATION == 3u) { return tanh(clamp(v, vec4f(-15.0), vec4f(15.0))); }
  if (ACTIVATION == 4u) { return 1.0 / (1.0 + exp(-max(v, vec4f(-80.0)))); }
  return v;
}

@compute @workgroup_size(GROUP)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  // Neighboring invocations share a block column, so that they walk equally far.
  let index = id.x + id.y * groups.x * GROUP;
  let tile = index % params.tiles;
  let image = (index / params.tiles) % params.images;
  let column = index / (params.tiles * params.images);
  if (column >= params.columns) { return; }
  let rows = params.rows;
  let row = tile * select(TILE, QUADS, CHANNELS_FIRST);

  // Where each row of the tile (each vec4 of the plane) starts in x; past the edge the last one repeats.
  // @scalars
  var x_at: array<u32, TILE>;
  // @unroll
  for (var i = 0u; i < TILE; i++) {
    x_at[i] = min(row + i, rows - 1u) * select(params.inputs / 4u, 1u, CHANNELS_FIRST);
  }

  // @scalars
  var sum: array<array<vec4f, VECTORS>, TILE>;
  // @scalars
  var w: array<array<vec4f, VECTORS>, 4>;
  let block = column / params.split;
  let pitch = params.pitch;
  let part = (column % params.split) * VECTORS * select(1u, 4u * pitch, TRANSPOSE);
  let end = starts[block + 1u];
  for (var s = starts[block]; s < end; s++) {
    let slab = slabs[s] + vec2u(part, 0u);
    // w[p][j]: weights of input p of the slab to the outputs of vector j.
    // @unroll
    for (var j = 0u; j < VECTORS; j++) {
      if (TRANSPOSE) {
        let w0 = values[slab.x + (4u * j) * pitch];
        let w1 = values[slab.x + (4u * j + 1u) * pitch];
        let w2 = values[slab.x + (4u * j + 2u) * pitch];
        let w3 = values[slab.x + (4u * j + 3u) * pitch];
        w[0u][j] = vec4f(w0.x, w1.x, w2.x, w3.x);
        w[1u][j] = vec4f(w0.y, w1.y, w2.y, w3.y);
        w[2u][j] = vec4f(w0.z, w1.z, w2.z, w3.z);
        w[3u][j] = vec4f(w0.w, w1.w, w2.w, w3.w);
      } else {
        w[0u][j] = values[slab.x + j];
        w[1u][j] = values[slab.x + pitch + j];
        w[2u][j] = values[slab.x + 2u * pitch + j];
        w[3u][j] = values[slab.x + 3u * pitch + j];
      }
    }
    if (CHANNELS_FIRST) {
      let last = params.inputs - 1u;
      let first = image * params.inputs;
      let at0 = (first + min(4u * slab.y, last)) * rows;
      let at1 = (first + min(4u * slab.y + 1u, last)) * rows;
      let at2 = (first + min(4u * slab.y + 2u, last)) * rows;
      let at3 = (first + min(4u * slab.y + 3u, last)) * rows;
      // @unroll
      for (var q = 0u; q < QUADS; q++) {
        let c0 = x[at0 + x_at[q]];
        let c1 = x[at1 + x_at[q]];
        let c2 = x[at2 + x_at[q]];
        let c3 = x[at3 + x_at[q]];
        // @unroll
        for (var i = 0u; i < 4u; i++) {
          // @unroll
          for (var j = 0u; j < VECTORS; j++) {
            sum[4u * q + i][j] = fma(vec4f(c0[i]), w[0u][j], sum[4u * q + i][j]);
            sum[4u * q + i][j] = fma(vec4f(c1[i]), w[1u][j], sum[4u * q + i][j]);
            sum[4u * q + i][j] = fma(vec4f(c2[i]), w[2u][j], sum[4u * q + i][j]);
            sum[4u * q + i][j] = fma(vec4f(c3[i]), w[3u][j], sum[4u * q + i][j]);
          }
        }
      }
    } else {
      // @unroll
      for (var i = 0u; i < TILE; i++) {
        let v = x[x_at[i] + slab.y];
        // @unroll
        for (var j = 0u; j < VECTORS; j++) {
          sum[i][j] = fma(vec4f(v.x), w[0u][j], sum[i][j]);
          sum[i][j] = fma(vec4f(v.y), w[1u][j], sum[i][j]);
          sum[i][j] = fma(vec4f(v.z), w[2u][j], sum[i][j]);
          sum[i][j] = fma(vec4f(v.w), w[3u][j], sum[i][j]);
        }
      }
    }
  }

  let output = column * WIDTH;
  // @unroll
  for (var j = 0u; j < VECTORS; j++) {
    if (output + 4u * j < params.outputs) {
      var offset = vec4f(0.0);
      if (HAS_BIAS) {
        let at = output + 4u * j;
        let last = params.outputs - 1u;
        offset = vec4f(bias[at], bias[min(at + 1u, last)], bias[min(at + 2u, last)], bias[min(at + 3u, last)]);
      }
      if (CHANNELS_FIRST) {
        // @unroll
        for (var p = 0u; p < 4u; p++) {
          if (output + 4u * j + p < params.outputs) {
            let y_at = (image * params.outputs + output + 4u * j + p) * rows + row;
            // @unroll
            for (var q = 0u; q < QUADS; q++) {
              if (row + q < rows) {
                let s0 = sum[4u * q][j];
                let s1 = sum[4u * q + 1u][j];
                let s2 = sum[4u * q + 2u][j];
                let s3 = sum[4u * q + 3u][j];
                y[y_at + q] = activate(vec4f(s0[p], s1[p], s2[p], s3[p]) + offset[p]);
              }
            }
          }
        }
      } else {
        // @unroll
        for (var i = 0u; i < TILE; i++) {
          if (row + i < rows) {
            y[(row + i) * (params.outputs / 4u) + column * VECTORS + j] = activate(sum[i][j] + offset);
          }
        }
      }
    }
  }
}
