import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { cachedFolder } from "../../src/node/cache.js";
import { readTar } from "../../src/node/tar.js";

const test = suite("cache folder and tar");
let place = "";

test.before.each(() => {
  place = mkdtempSync(join(tmpdir(), "handgrad-test-"));
});

test.after.each(() => rmSync(place, { recursive: true, force: true }));

/** A filling that counts its calls. */
function filling(text: string) {
  const fill = (folder: string) => {
    fill.calls++;
    writeFileSync(join(folder, "file"), text);
  };
  fill.calls = 0;
  return fill;
}

const read = (folder: string) => readFileSync(join(folder, "file"), "utf8");

test("is filled once, and anew when a file is cut short", () => {
  const fill = filling("content");
  const folder = cachedFolder("name", fill, [place]);
  assert.is(cachedFolder("name", fill, [place]), folder);
  assert.is(fill.calls, 1);
  writeFileSync(join(folder, "file"), "con");
  assert.is(read(cachedFolder("name", fill, [place])), "content");
  assert.is(fill.calls, 2);
  assert.equal(readdirSync(place), ["name"]);
});

test("a filling that throws leaves nothing behind", () => {
  const fill = () => {
    throw new Error("disk full");
  };
  assert.throws(() => cachedFolder("name", fill, [place]), /disk full/);
  assert.equal(readdirSync(place), []);
});

test("a place that other users can write to is not used", () => {
  const open = mkdtempSync(join(tmpdir(), "handgrad-test-"));
  chmodSync(open, 0o777);
  try {
    assert.throws(() => cachedFolder("name", filling("x"), [open]), /can be written by other users/);
    assert.is(cachedFolder("name", filling("x"), [open, place]), join(place, "name"));
  } finally {
    rmSync(open, { recursive: true });
  }
});

/** A tar header, as far as the reader looks at it. */
function tarEntry(name: string, content: string, size = content.length): Uint8Array {
  const entry = new Uint8Array(512 + Math.ceil(content.length / 512) * 512);
  const write = (text: string, at: number) => entry.set(new TextEncoder().encode(text), at);
  write(name, 0);
  write(size.toString(8).padStart(11, "0"), 124);
  write("0", 156);
  write(content, 512);
  return entry;
}

test("tar files are read, damaged ones refused", () => {
  const archive = Buffer.concat([
    tarEntry("a", "one"),
    tarEntry("b/c", "x".repeat(600)),
    new Uint8Array(1024),
  ]);
  const files = readTar(archive);
  assert.equal([...files.keys()], ["a", "b/c"]);
  assert.is(new TextDecoder().decode(files.get("a")), "one");
  assert.is(files.get("b/c")?.length, 600);
  assert.throws(() => readTar(tarEntry("a", "one", 5000)), /damaged archive at "a"/);
});

test.run();
