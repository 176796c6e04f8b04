// One function of two elements that stand at the same place, or of an element and a number.
//   y[i] = f(a[i], b[i]), or f(a[i], scalar) without b; with SWAP the two arguments change places
// a, b, y: one shape. f is OPERATION: 0 add, 1 subtract, 2 multiply, 3 divide, 4 power, 5 minimum, 6 maximum,
// 7 greater, 8 less, 9 equal (1 or 0), 10 add scaled: a + scale · b.

// @constants
const OPERATION: u32 = 0u;
const HAS_B: bool = true;
const SWAP: bool = false;
// @end

// Four elements an invocation; the host makes the form for sizes that 4 does not divide (f32, i32, u32).
alias Item = vec4f;
alias Whole = vec4i;
alias Bits = vec4u;

struct Params {
  count: u32,
  scalar: f32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> a: array<Item>;
@group(0) @binding(1) var<storage, read> b: array<Item>;
@group(0) @binding(2) var<storage, read_write> y: array<Item>;
@group(0) @binding(3) var<uniform> params: Params;

const WORKGROUP_SIZE = 64u;

fn power_of_two(n: Whole) -> Item {
  return bitcast<Item>((n + Whole(127)) << Bits(23u));
}

// p^q for p > 0: 2^(q (n + log2 m)) with p = 2^n m and m from √½ to √2. The two products stay apart until the
// whole part is taken off, so that a large exponent costs no digits: WGSL's own pow may be wrong by 1e-5 of
// the result.
fn positive_power(p: Item, q: Item) -> Item {
  let small = p < Item(1.17549435e-38);
  let bits = bitcast<Whole>(select(p, p * 16777216.0, small));
  let shifted = (bits - Whole(0x3f3504f3)) >> Bits(23u);
  let m = bitcast<Item>(bits - (shifted << Bits(23u)));
  let n = Item(shifted) - select(Item(0.0), Item(24.0), small);
  // log2 m = 2 / ln 2 · artanh(s), s = (m - 1) / (m + 1).
  let s = (m - 1.0) / (m + 1.0);
  let z = s * s;
  var series = fma(z, Item(1.0 / 11.0), Item(1.0 / 9.0));
  series = fma(series, z, Item(1.0 / 7.0));
  series = fma(series, z, Item(1.0 / 5.0));
  series = fma(series, z, Item(1.0 / 3.0));
  let log_m = 2.88539008 * fma(s * z, series, s);
  // Past these bounds the result is 0 or infinite, whatever the fraction.
  let large = clamp(q * n, Item(-1000.0), Item(1000.0));
  let lost = select(Item(0.0), fma(q, n, -large), abs(large) < Item(1000.0));
  let fine = clamp(fma(q, log_m, lost), Item(-1000.0), Item(1000.0));
  let whole = round(large + fine);
  let rest = clamp((large - whole) + fine, Item(-1.0), Item(1.0)) * 0.693147181;
  var e = fma(rest, Item(1.0 / 5040.0), Item(1.0 / 720.0));
  e = fma(e, rest, Item(1.0 / 120.0));
  e = fma(e, rest, Item(1.0 / 24.0));
  e = fma(e, rest, Item(1.0 / 6.0));
  e = fma(e, rest, Item(0.5));
  e = fma(e, rest, Item(1.0));
  e = fma(e, rest, Item(1.0));
  let exponent = Whole(clamp(whole, Item(-250.0), Item(250.0)));
  // Two factors, since 2^exponent itself may be out of range.
  let first = exponent / Whole(2);
  return e * power_of_two(first) * power_of_two(exponent - first);
}

// As positive_power, with the sign of a negative base; 0 to a negative power is infinite and a negative base
// to a broken one not a number.
fn power(p: Item, q: Item) -> Item {
  let whole = floor(q) == q;
  let odd = whole & (fract(q * 0.5) != Item(0.0));
  let size = positive_power(abs(p), q);
  let of_negative = select(sqrt(p), select(size, -size, odd), whole);
  let of_zero = select(Item(0.0), 1.0 / abs(p), q < Item(0.0));
  let result = select(select(size, of_negative, p < Item(0.0)), of_zero, p == Item(0.0));
  return select(result, Item(1.0), q == Item(0.0));
}

fn apply(p: Item, q: Item) -> Item {
  switch OPERATION {
    case 0u: { return p + q; }
    case 1u: { return p - q; }
    case 2u: { return p * q; }
    case 3u: { return p / q; }
    case 4u: { return power(p, q); }
    case 5u: { return min(p, q); }
    case 6u: { return max(p, q); }
    case 7u: { return select(Item(0.0), Item(1.0), p > q); }
    case 8u: { return select(Item(0.0), Item(1.0), p < q); }
    case 9u: { return select(Item(0.0), Item(1.0), p == q); }
    default: { return fma(Item(params.scale), q, p); }
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let index = id.x + id.y * groups.x * WORKGROUP_SIZE;
  if (index >= params.count) { return; }
  let first = a[index];
  var second = Item(params.scalar);
  if (HAS_B) { second = b[index]; }
  if (SWAP) {
    y[index] = apply(second, first);
  } else {
    y[index] = apply(first, second);
  }
}
