// One function of every element.
//   y[i] = f(x[i])
// x, y: any shape. f is OPERATION: 0 negate, 1 absolute, 2 sign, 3 exp, 4 log, 5 square root, 6 square, 7
// reciprocal, 8 floor, 9 ceil, 10 clamp to [low, high]. exp and log are written out: WGSL lets its own be
// wrong by 1e-5 of the result far from 0 (exp) and by any share of it near 1 (log).

// @constants
const OPERATION: u32 = 0u;
// @end

// Four elements an invocation; the host makes the form for sizes that 4 does not divide (f32, i32, u32).
alias Item = vec4f;
alias Whole = vec4i;
alias Bits = vec4u;

struct Params {
  count: u32,
  low: f32,
  high: f32,
}

@group(0) @binding(0) var<storage, read> x: array<Item>;
@group(0) @binding(1) var<storage, read_write> y: array<Item>;
@group(0) @binding(2) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;
// ln 2 in two parts; the first has so few bits that its product with an exponent is exact.
const LN2_HIGH = 0.693145751953125;
const LN2_LOW = 1.42860682030941723e-6;

// 2^n · e^r with n the nearest whole number to v / ln 2 and |r| <= ln 2 / 2: Taylor's series of e^r to r^7.
fn exponential(v: Item) -> Item {
  let bounded = clamp(v, Item(-104.0), Item(89.0));
  let n = round(bounded * 1.44269504);
  // The minimum changes nothing; it keeps compilers from joining the two steps to one with a rounded ln 2.
  let nearly = min(fma(n, Item(-LN2_HIGH), bounded), Item(1.0));
  let r = fma(n, Item(-LN2_LOW), nearly);
  var p = fma(r, Item(1.0 / 5040.0), Item(1.0 / 720.0));
  p = fma(p, r, Item(1.0 / 120.0));
  p = fma(p, r, Item(1.0 / 24.0));
  p = fma(p, r, Item(1.0 / 6.0));
  p = fma(p, r, Item(0.5));
  p = fma(p, r, Item(1.0));
  p = fma(p, r, Item(1.0));
  // Two factors, since 2^n itself may be out of range.
  let first = Whole(n) / Whole(2);
  return p * power_of_two(first) * power_of_two(Whole(n) - first);
}

fn power_of_two(n: Whole) -> Item {
  return bitcast<Item>((n + Whole(127)) << Bits(23u));
}

// n ln 2 + log m with v = 2^n m and m from √½ to √2: log m = 2 artanh(s), s = (m - 1) / (m + 1), to s^11.
fn logarithm(v: Item) -> Item {
  // Numbers below the normal ones are scaled up first.
  let small = v < Item(1.17549435e-38);
  let scaled = select(v, v * 16777216.0, small);
  let bits = bitcast<Whole>(scaled);
  let shifted = (bits - Whole(0x3f3504f3)) >> Bits(23u);
  let m = bitcast<Item>(bits - (shifted << Bits(23u)));
  let n = Item(shifted) - select(Item(0.0), Item(24.0), small);
  let s = (m - 1.0) / (m + 1.0);
  let z = s * s;
  var p = fma(z, Item(1.0 / 11.0), Item(1.0 / 9.0));
  p = fma(p, z, Item(1.0 / 7.0));
  p = fma(p, z, Item(1.0 / 5.0));
  p = fma(p, z, Item(1.0 / 3.0));
  let log_m = fma(2.0 * s * z, p, 2.0 * s);
  let result = fma(n, Item(LN2_HIGH), fma(n, Item(LN2_LOW), log_m));
  // -infinity at 0, NaN below it: drivers' own logarithms do not agree on these.
  let special = select(select(v, -1.0 / abs(v), v == Item(0.0)), sqrt(v), v < Item(0.0));
  return select(special, result, (v > Item(0.0)) & (v <= Item(3.40282346e38)));
}

fn apply(v: Item) -> Item {
  switch OPERATION {
    case 0u: { return -v; }
    case 1u: { return abs(v); }
    case 2u: { return sign(v); }
    case 3u: { return exponential(v); }
    case 4u: { return logarithm(v); }
    case 5u: { return sqrt(v); }
    case 6u: { return v * v; }
    case 7u: { return 1.0 / v; }
    case 8u: { return floor(v); }
    case 9u: { return ceil(v); }
    default: { return clamp(v, Item(params.low), Item(params.high)); }
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index < params.count) {
    y[index] = apply(x[index]);
  }
}
