import { KernelError } from "handgrad";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Constants, specializeWgsl } from "../src/gpu/wgsl.js";
import { halfBinding } from "../src/gpu/half_binding.js";
import { mergeBinding, readInterface } from "../src/gpu/wgsl_interface.js";
import { assertRejects } from "./helpers/errors.js";

const wgsl = suite("wgsl");

/** The lines of the specialized text, without indentation and without empty ones. */
function linesOf(source: string, constants?: Constants): string[] {
  return specializeWgsl("k", source, constants)
    .code.split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
}

const block = `// @constants
const TILE: u32 = 4u; // outputs
const SHIFT: i32 = -2;
const SLOPE: f32 = 0.5;
const FLAG: bool = true;
const BLOCKS: u32 = (TILE + 4u) / 4u;
// @end
const OUTSIDE: u32 = 1u;`;

const refused = (source: string, message: RegExp, constants?: Constants) =>
  assertRejects(() => specializeWgsl("k", source, constants), KernelError, message);

wgsl("a file that nothing is asked of stays as it is", () => {
  const { code, lines } = specializeWgsl("k", block);
  assert.is(code, block);
  assert.equal(lines, [1, 2, 3, 4, 5, 6, 7, 8]);
});

wgsl("constants of the block are replaced, in the form of their type", () => {
  const constants = { TILE: 8, SHIFT: -5, SLOPE: 3, FLAG: false };
  assert.equal(linesOf(block, constants).slice(1, 5), [
    "const TILE: u32 = 8u; // outputs",
    "const SHIFT: i32 = -5;",
    "const SLOPE: f32 = 3.0;",
    "const FLAG: bool = false;",
  ]);
  const slopes = [0.1, -1.5e-7, 1e21, -3].map((SLOPE) => linesOf(block, { SLOPE })[3]);
  assert.equal(
    slopes,
    ["0.1", "-1.5e-7", "1e+21", "-3.0"].map((text) => `const SLOPE: f32 = ${text};`),
  );
});

wgsl("constants that the block does not declare, or of another type, are refused", async () => {
  await refused(block, /constant TILES is not declared between "\/\/ @constants" and "\/\/ @end"/, {
    TILES: 1,
  });
  await refused(block, /constant OUTSIDE is not declared/, { OUTSIDE: 2 });
  await refused(block.replace("\n// @end", ""), /not closed by "\/\/ @end"/);
  const wrong: Constants[] = [
    { TILE: -1 },
    { TILE: 1.5 },
    { TILE: 2 ** 32 },
    { TILE: true },
    { TILE: Number.NaN },
    { SHIFT: 2 ** 31 },
    { SHIFT: 0.5 },
    { SLOPE: Number.POSITIVE_INFINITY },
    { SLOPE: 1e39 },
    { SLOPE: false },
    { FLAG: 1 },
  ];
  for (const constants of wrong) {
    const [[name, value]] = Object.entries(constants);
    const message = new RegExp(`constant ${name} is a \\w+, and got ${String(value).replace("+", "\\+")}`);
    await refused(block, message, constants);
  }
});

wgsl("loops are unrolled, inner ones too, with bounds out of the block", () => {
  const source = `${block}
// @unroll
for (var i = 1u; i < BLOCKS + 1u; i++) {
  a(i, x.i, ii);
  // @unroll
  for (var j = i; j < 4u; j += 2u) {
    b(i, j);
  }
}
end();`;
  assert.equal(
    linesOf(source, { TILE: 4 }).slice(8),
    [
      ..."{|a(1u, x.i, ii);|{|b(1u, 1u);|}|{|b(1u, 3u);|}|}".split("|"),
      ..."{|a(2u, x.i, ii);|{|b(2u, 2u);|}|}".split("|"),
      "end();",
    ].map((line) => line),
  );
});

wgsl("an unrolled line knows the line of the file that it came from", () => {
  const source = ["a();", "// @unroll", "for (var i = 0; i < 2; i++) {", "  b(i);", "}", "c();"].join("\n");
  const { code, lines } = specializeWgsl("k", source);
  assert.equal(
    code.split("\n").map((text, i) => `${lines[i]} ${text.trim()}`),
    ["1 a();", "3 {", "4 b(0);", "5 }", "3 {", "4 b(1);", "5 }", "6 c();"],
  );
});

wgsl("a private array is split into single variables", () => {
  const source = `// @constants
const N: u32 = 2u;
// @end
// @scalars
var acc: array<array<vec4f, 2>, N>;
// @unroll
for (var i = 0u; i < N; i++) {
  // of acc[k], a comment
  acc[i][1u - i] += x.acc[i] * acc[(i + 3u) % N][0].x; // acc[k]
}`;
  assert.equal(linesOf(source).slice(3), [
    "var acc_0_0: vec4f; var acc_0_1: vec4f; var acc_1_0: vec4f; var acc_1_1: vec4f;",
    "{",
    "// of acc[k], a comment",
    "acc_0_1 += x.acc[0u] * acc_1_0.x; // acc[k]",
    "}",
    "{",
    "// of acc[k], a comment",
    "acc_1_0 += x.acc[1u] * acc_0_0.x; // acc[k]",
    "}",
  ]);
});

wgsl("a constant UNROLL turns the directives off", () => {
  const source = `// @constants
const UNROLL: bool = true;
// @end
// @scalars
var acc: array<f32, 2>;
// @unroll
for (var i = 0u; i < 2u; i++) {
  acc[i] = 1.0;
}`;
  assert.is(specializeWgsl("k", source, { UNROLL: false }).code, source.replace("= true", "= false"));
  assert.ok(linesOf(source).includes("acc_1 = 1.0;"));
});

wgsl("a directive that cannot be applied throws, and tells the line", async () => {
  const loop = (header: string, body = "f(i);", close = "}") =>
    `${block}\n// @unroll\n${header}\n${body}\n${close}`;
  const form = /kernel k, line 9: "\/\/ @unroll" must stand before a loop of the form/;
  await refused(`${block}\n// @unroll`, form);
  await refused(loop("while (true) {"), form);
  await refused(loop("for (var i = 0u; i <= 4u; i++) {"), form);
  await refused(loop("for (var i = 0u; j < 4u; i++) {"), form);
  await refused(loop("for (var i = 0u; i < 4u; j++) {"), form);
  await refused(loop("for (var i = 0u;\n i < 4u; i++) {"), form);
  await refused(loop("for (var i = 0u; i < count; i++) {"), /"count" is not a constant integer expression/);
  await refused(loop("for (var i = 0u; i < OUTSIDE; i++) {"), /"OUTSIDE" is not a constant/);
  await refused(
    loop("for (var i = 0u; i < 4u; i += 0u) {"),
    /line 10: a loop from 0 to 4 by 0 is not unrolled/,
  );
  await refused(loop("for (var i = 0u; i < 4u; i += -1) {"), /by -1 is not unrolled/);
  await refused(loop("for (var i = 0u; i < 99999999u; i++) {"), /at most 1024 copies/);
  await refused(
    loop("for (var i = 0u; i < 4u; i++) {", "f(i);", "} g();"),
    /must close with a "}" on a line of its own/,
  );
  await refused(loop("for (var i = 0u; i < 4u; i++) {", "f(i);", ""), /must close/);
  await refused(
    loop("for (var i = 0u; i < 4u; i++) {", "if (x) { break; }"),
    /line 11: "if \(x\) \{ break; \}" in an unrolled/,
  );
  await refused(loop("for (var i = 0u; i < 4u; i++) {", "continue;"), /would leave the loop around it/);
  await refused("// @scalars\nlet acc = 3;", /line 1: "\/\/ @scalars" must stand before "var name/);
  await refused("// @scalars\nvar acc: array<f32, count>;", /"count" is not a constant/);
  await refused("// @scalars\nvar acc: array<f32, 2>;\nacc[k] = 1.0;", /line 3: "k" is not a constant/);
  for (const text of [
    "//@unroll",
    "// @unroll 4",
    "// @Unroll",
    "// @ unroll",
    "// @scalars:",
    "//  @constants",
  ])
    await refused(`${text}\nf();`, /line 1: ".*" is not a directive/);
});

wgsl("the interface is read off the text", () => {
  const { storage, uniform } = readInterface(
    "k",
    `struct Other { a: f32 }
    struct Params { n: u32, /* not a field: u32, */ x: f32, // and: f32,
      v: vec4u,
      s: i32, w: vec4<u32>, }
    alias Item = vec4f;
    alias Rows = array<Item>;
    // @group(0) @binding(9) var<storage, read> gone: array<f32>;
    @group(0) @binding(2) var<storage, read_write> c: array<atomic<u32>>;
    @group(0) @binding(0) var<storage, read> a: array<f32>;
    @group(0)
    @binding(1)
    var<storage> b: array<vec2<u32>>;
    @group(0) @binding(3) var<storage, read_write> d: Rows;
    @group(0) @binding(5) var<uniform> params: Params;`,
  );
  assert.equal(storage, [
    { name: "a", index: 0, writable: false, dtype: "f32", width: 1 },
    { name: "b", index: 1, writable: false, dtype: "u32", width: 2 },
    { name: "c", index: 2, writable: true, dtype: "u32", width: 1 },
    { name: "d", index: 3, writable: true, dtype: "f32", width: 4 },
  ]);
  assert.equal(uniform, {
    index: 5,
    byteLength: 64,
    fields: [
      { name: "n", type: "u32", offset: 0 },
      { name: "x", type: "f32", offset: 4 },
      { name: "v", type: "vec4u", offset: 16 },
      { name: "s", type: "i32", offset: 32 },
      { name: "w", type: "vec4u", offset: 48 },
    ],
  });
});

wgsl("the in-place form drops one declaration and keeps the lines", () => {
  const source = `@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
y[i] = x[i] + p.x + xx;`;
  assert.is(
    mergeBinding(source, "x", "y"),
    `\n@group(0) @binding(1) var<storage, read_write> y: array<f32>;\ny[i] = y[i] + p.x + xx;`,
  );
});

wgsl("a binding that is stored as f16: its declaration and its loads, comments aside", async () => {
  const source = `// b[0] is the first
@group(0) @binding(1) var<storage, read> b: array<vec4f>; // b
fn sum(x: u32) -> vec4f {
  return b[b_at[x] + 1u] + params.b[0] + b[2u * x]; // b
}`;
  const code = halfBinding("k", source, "b", 4).split("\n");
  assert.equal(code.slice(0, 5), [
    "// b[0] is the first",
    "@group(0) @binding(1) var<storage, read> b: array<vec2u>; // b",
    "fn sum(x: u32) -> vec4f {",
    "  return load_half_b(b_at[x] + 1u) + params.b[0] + load_half_b(2u * x); // b",
    "}",
  ]);
  assert.match(code[5], /^fn load_half_b\(i: u32\) -> vec4f \{ return vec4f\(unpack2x16float\(b\[i\]\.x\), /);
  for (const use of ["arrayLength(&b)", "b[b[0]]", "b[a", "b = 1"]) {
    const wrong = `${source}\nlet y = ${use};`;
    await assertRejects(
      () => halfBinding("k", wrong, "b", 4),
      KernelError,
      /^k\.wgsl:6: .*only loaded from, as b\[index\]/,
    );
  }
});

wgsl.run();
