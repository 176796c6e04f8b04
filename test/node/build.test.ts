import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("build");
let stripWgsl: (source: string) => string;

test.before(async () => {
  ({ stripWgsl } = await import(pathToFileURL(join(process.cwd(), "shaders", "bundle.mjs")).href));
});

test("WGSL loses comments and indentation, and keeps its lines and directives", () => {
  const source = `// what it computes
    const a = 1; // why
/* one /* nested */ over
   lines */ const b = 6 / 2;
  // @unroll 4
  fn f() {}
`;
  const lines = stripWgsl(source).split("\n");
  assert.equal(lines, ["", "const a = 1;", "", "const b = 6 / 2;", "// @unroll 4", "fn f() {}"]);
});

test("a comment between two words still parts them", () => {
  assert.is(stripWgsl("let/**/x = 1;"), "let x = 1;");
});

test("an open block comment is an error", () => {
  assert.throws(() => stripWgsl("/* /* */ fn f() {}"), /not closed/);
});

test.run();
