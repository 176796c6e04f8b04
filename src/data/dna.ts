import { FormatError } from "../gpu/errors.js";
import { Dataset } from "./dataset.js";

/** Exon to intron (a donor site), intron to exon (an acceptor site), neither. */
const classNames = ["ei", "ie", "n"];
const BASES = "ACGT";
/** The border, if there is one, is in the middle. */
const LENGTH = 60;

/**
 * Primate splice junctions (G. Towell, M. Noordewier, J. Shavlik; sequences of GenBank 64.1): which kind of border between
 * coding and other DNA is in the middle of 60 bases. A sequence is an "image" [4, 1, 60], a channel a base, 255 where the
 * base is.
 *
 * @param text of data/dna/sequences.txt: a line a sequence, its class and its bases, "ei CCAGCTG…"
 * @throws FormatError naming the line that is not so
 * @example
 * const [train, test] = dnaFromText(text).split([2000, 1186], { seed: 7, stratified: true });
 */
export function dnaFromText(text: string): Dataset {
  const lines = text.split("\n").filter((line) => line !== "");
  if (lines.length === 0) throw new FormatError("the dna file is empty; fetch data/dna again");
  const images = new Uint8Array(lines.length * BASES.length * LENGTH);
  const labels = new Uint32Array(lines.length);
  for (const [index, line] of lines.entries()) {
    const [name, bases] = line.split(" ");
    const label = classNames.indexOf(name);
    if (label < 0 || !bases || !/^[ACGT]{60}$/.test(bases)) {
      throw new FormatError(
        `line ${index + 1} of the dna file is "${line.slice(0, 80)}", but ei, ie or n and 60 of A, C, G and T are taken`,
      );
    }
    labels[index] = label;
    for (let at = 0; at < LENGTH; at++) {
      images[(index * BASES.length + BASES.indexOf(bases[at])) * LENGTH + at] = 255;
    }
  }
  return new Dataset({ images, labels, shape: [BASES.length, 1, LENGTH], classNames });
}
