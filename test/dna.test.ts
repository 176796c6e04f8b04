import { FormatError } from "handgrad";
import { dnaFromText } from "handgrad/data";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertRejects } from "./helpers/errors.js";

const dna = suite("data: dna");

dna("a sequence is four channels, one a base", () => {
  const bases = "ACGT".repeat(15);
  const set = dnaFromText(`ei ${bases}\nn ${"T".repeat(60)}\n`);
  assert.equal([...set.labels], [0, 2]);
  assert.equal(set.shape, [4, 1, 60]);
  for (let channel = 0; channel < 4; channel++) {
    for (let at = 0; at < 60; at++) {
      assert.is(set.images[channel * 60 + at], at % 4 === channel ? 255 : 0);
      assert.is(set.images[(4 + channel) * 60 + at], channel === 3 ? 255 : 0);
    }
  }
});

dna("a damaged file is named by its line", async () => {
  const good = `ei ${"A".repeat(60)}`;
  for (const [text, message] of [
    ["", /empty/],
    [`${good}\nie ACGT\n`, /line 2 .* "ie ACGT"/],
    [`xx ${"A".repeat(60)}`, /line 1/],
    [`ei ${"A".repeat(59)}N`, /60 of A, C, G and T/],
  ] as const) {
    await assertRejects(() => dnaFromText(text), FormatError, message);
  }
});

dna.run();
