import { access, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { runProgram } from "./program.js";

const readme = suite("readme");
let folder = "";

readme.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "handgrad-readme-"));
});

readme.after(() => rm(folder, { recursive: true, force: true }));

readme("every TypeScript snippet runs and prints", async () => {
  const text = await readFile("README.md", "utf8");
  const snippets = [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code);
  assert.ok(snippets.length > 0, "the README has an example");
  for (const [index, code] of snippets.entries()) {
    const file = join(folder, `snippet${index}.ts`);
    await writeFile(file, code);
    const { code: exitCode, stdout, stderr } = await runProgram("build.mjs", { args: ["run", file] });
    assert.is(exitCode, 0, stderr);
    assert.match(stdout, /loss 0\.\d+ gradient Float32Array\(6\)/);
    assert.not.match(stdout, /NaN/);
  }
});

readme("every command it names is a script of the package", async () => {
  const text = await readFile("README.md", "utf8");
  const { scripts } = JSON.parse(await readFile("package.json", "utf8"));
  const commands = [...text.matchAll(/npm (?:run )?([a-z]+)/g)].map(([, name]) => name);
  const unknown = commands.filter((name) => !["ci", "install", "i"].includes(name) && !(name in scripts));
  assert.equal(unknown, []);
});

readme("every file it links to is there", async () => {
  const text = await readFile("README.md", "utf8");
  const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, path]) => path);
  assert.ok(links.length > 0);
  for (const path of links) await access(path);
});

readme.run();
