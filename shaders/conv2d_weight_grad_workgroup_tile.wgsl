// Weight gradient of a convolution as a matrix product whose second matrix is never stored (implicit GEMM), in parts
// that conv2d_sum_parts adds up: of dy, channels by positions, and of the windows of x, positions by weights, a
// workgroup gathers DEPTH positions of SIDE channels and SIDE weights into its memory, and each of its GROUP × GROUP
// invocations computes TILE × TILE results from them. The form for GPUs.
//   parts[s, o, c, i, j] = Σ_(n, Y, X) in chunk s  dy[n, o, Y, X] · x[n, c, row, column]
//   row = Y · stride + i · dilation - padding, column alike
// x: [images, groups · inputs, height, width], zeros outside; dy: [images, groups · outputs, rows, columns];
// parts: [chunks, groups · outputs, inputs, kernel_height, kernel_width], where k = (c, i, j) is one flat index.
// A chunk is `chunk_positions` positions, counted through the columns, rows and images of dy.

// @constants
const TILE: u32 = 4u;
const GROUP: u32 = 8u;
const DEPTH: u32 = 16u;
const UNROLL: bool = true;
const THREADS: u32 = GROUP * GROUP;
const SIDE: u32 = TILE * GROUP;
// Odd, so that neighbors, which load neighboring positions, store into different banks.
const PITCH: u32 = SIDE + 1u;
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
  stride_y: u32,
  stride_x: u32,
  dilation_y: u32,
  dilation_x: u32,
  padding_y: u32,
  padding_x: u32,
  chunk_positions: u32,
  chunks: u32,
  tiles_o: u32,
  tiles_k: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> parts: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

// dy_tile[p · PITCH + channel] and x_tile[p · PITCH + weight].
var<workgroup> dy_tile: array<f32, DEPTH * PITCH>;
var<workgroup> x_tile: array<f32, DEPTH * PITCH>;
// For each weight of the tile: where its channel begins in an image of x, and by how much its tap is shifted.
var<workgroup> channel_at: array<u32, SIDE>;
var<workgroup> shift_y: array<u32, SIDE>;
var<workgroup> shift_x: array<u32, SIDE>;

@compute @workgroup_size(GROUP, GROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  var rest = group.x + group.y * groups.x;
  let first_k = rest % params.tiles_k * SIDE;
  rest /= params.tiles_k;
  let first_o = rest % params.tiles_o * SIDE;
  rest /= params.tiles_o;
  let channel_group = rest % params.groups;
  let chunk = rest / params.groups;
  if (chunk >= params.chunks) { return; }

  let taps = params.kernel_height * params.kernel_width;
  let weights = params.inputs * taps;
  let plane = params.height * params.width;
  let dy_plane = params.rows * params.columns;
  for (var n = thread; n < SIDE; n += THREADS) {
    // Past the last weight the last one again.
    let weight = min(first_k + n, weights - 1u);
    let tap = weight % taps;
    channel_at[n] = weight / taps * plane;
    shift_y[n] = tap / params.kernel_width * params.dilation_y - params.padding_y;
    shift_x[n] = tap % params.kernel_width * params.dilation_x - params.padding_x;
  }
  workgroupBarrier();

  // The position that this invocation loads, in each step DEPTH further.
  let lane = thread % DEPTH;
  let first_p = chunk * params.chunk_positions;
  let end = min(first_p + params.chunk_positions, params.images * dy_plane);
  var image = (first_p + lane) / dy_plane;
  var row = (first_p + lane) % dy_plane / params.columns;
  var column = (first_p + lane) % params.columns;

  // @scalars
  var sum: array<array<f32, TILE>, TILE>;
  // @scalars
  var gradient: array<f32, TILE>;
  for (var p0 = first_p; p0 < end; p0 += DEPTH) {
    let present = p0 + lane < end;
    let image_at = (image * params.groups + channel_group) * params.inputs * plane;
    let dy_at = ((image * params.groups + channel_group) * params.outputs + first_o) * dy_plane
      + row * params.columns + column;
    // As unsigned numbers, what lies before an edge of x is past the other one. What is read outside is not used.
    for (var n = thread / DEPTH; n < SIDE; n += THREADS / DEPTH) {
      dy_tile[lane * PITCH + n] = select(0.0, dy[dy_at + n * dy_plane], present && first_o + n < params.outputs);
      let x_row = row * params.stride_y + shift_y[n];
      let x_column = column * params.stride_x + shift_x[n];
      let inside = present && x_row < params.height && x_column < params.width;
      x_tile[lane * PITCH + n] = select(0.0, x[image_at + channel_at[n] + x_row * params.width + x_column], inside);
    }
    column += DEPTH;
    while (column >= params.columns) {
      column -= params.columns;
      row++;
      if (row == params.rows) {
        row = 0u;
        image++;
      }
    }
    workgroupBarrier();
    // Not up to DEPTH: where that is known, lavapipe unrolls the loop and compiles it for seconds.
    for (var p = 0u; p < min(DEPTH, end - p0); p++) {
      // @unroll
      for (var m = 0u; m < TILE; m++) {
        gradient[m] = dy_tile[p * PITCH + local.y * TILE + m];
      }
      // @unroll
      for (var n = 0u; n < TILE; n++) {
        let v = x_tile[p * PITCH + local.x + n * GROUP];
        // @unroll
        for (var m = 0u; m < TILE; m++) {
          sum[m][n] = fma(gradient[m], v, sum[m][n]);
        }
      }
    }
    workgroupBarrier();
  }

  let part_at = (chunk * params.groups + channel_group) * params.outputs;
  // @unroll
  for (var n = 0u; n < TILE; n++) {
    let k = first_k + local.x + n * GROUP;
    if (k < weights) {
      // @unroll
      for (var m = 0u; m < TILE; m++) {
        let o = first_o + local.y * TILE + m;
        if (o < params.outputs) { parts[(part_at + o) * weights + k] = sum[m][n]; }
      }
    }
  }
}
