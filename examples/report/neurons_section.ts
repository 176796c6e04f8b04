// What the report shows of the first method.
import type { NeuronsResult } from "../start/neurons.js";
import { lineChart } from "./line_chart.js";
import { figure, htmlTable, imageTag, type Section } from "./page.js";
import { digitSheet, type LabelledImage, weightSheet } from "./sheets.js";

const SHOWN_DIGITS = 60;
const SHOWN_NEURONS = 60;

export async function neuronsSection({ rules, layers, test }: NeuronsResult): Promise<Section> {
  const [first] = rules;
  const size = test.shape[2];
  const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
  const mistakes = indicesOf(first.predictions, (prediction, index) => prediction !== test.labels[index]);
  const hits = indicesOf(first.predictions, (prediction, index) => prediction === test.labels[index]);
  const shownMistakes = mistakes.slice(0, SHOWN_DIGITS);
  const sheet = (chosen: readonly number[]) =>
    digitSheet(
      chosen.map((index) => picture(index)),
      size,
      15,
    );
  const picture = (index: number): LabelledImage => ({
    pixels: pixelsOf(test, index),
    label: test.labels[index],
    prediction: first.predictions[index],
  });
  const neurons = first.firstWeights.length / test.imageSize;
  const accuracyCurves = rules.map(({ title, curve }) => ({
    title,
    points: curve.map(({ epoch, testAccuracy }) => [epoch, testAccuracy] as const),
  }));
  const lossCurves = rules.map(({ title, losses }) => ({
    title,
    points: losses.map(({ epoch, loss }) => [epoch, loss] as const),
  }));
  const html = `
<p>Each neuron wants one thing: that the next layer gives it more weight (its <em>attention</em>, half the sum of squares
of its outgoing weights). It is paid, sample by sample, by how much that attention is about to grow, and learns from
its own input and what it is paid. The labels enter only at the output. To first order this is what backpropagation
computes, and the second table measures it: the payments there were found by differencing attention itself.</p>
${htmlTable(
  ["rule", "test accuracy", "seconds"],
  rules.map((row) => [row.title, percent(row.testAccuracy), row.seconds.toFixed(1)]),
)}
${htmlTable(
  ["layer", "largest relative difference to backpropagation", "smallest cosine"],
  layers.map((row) => [row.title, row.relativeError.toExponential(1), row.cosine.toFixed(9)]),
)}
<h3>Learning curves</h3>
<div class="pair">
${figure(lineChart("test accuracy", "epoch", accuracyCurves, { yFormat: (value) => `${Math.round(100 * value)} %` }), "Accuracy on held-out digits. Equal lines lie on each other.")}
${figure(lineChart("training loss", "epoch", lossCurves), "Mean cross-entropy of the batches, 20 at a time.")}
</div>
<h3>Mistakes</h3>
${figure(
  imageTag(await sheet(shownMistakes), "misread test digits", 1020),
  `${shownMistakes.length} of ${mistakes.length} misread digits (of ${test.count}): what the network read in red, the label in green.`,
)}
<h3>Test digits read right</h3>
${figure(imageTag(await sheet(hits.slice(0, 30)), "test digits read right", 1020), "The first of the test digits that were read right.")}
<h3>What the first layer looks for</h3>
${figure(
  imageTag(
    await weightSheet(first.firstWeights, neurons, size, 15, Math.min(SHOWN_NEURONS, neurons)),
    "weights of the first layer",
    900,
  ),
  "Incoming weights of neurons of the first layer after training: blue is positive, red negative; each on its own scale.",
)}`;
  return { title: "Neurons that seek attention", html };
}

function indicesOf(values: Uint32Array, keep: (value: number, index: number) => boolean): number[] {
  return Array.from(values.keys()).filter((index) => keep(values[index], index));
}

function pixelsOf({ images, imageSize }: NeuronsResult["test"], index: number): ArrayLike<number> {
  const pixels = images.subarray(index * imageSize, (index + 1) * imageSize);
  return pixels instanceof Float32Array ? pixels : Float32Array.from(pixels, (byte) => byte / 255);
}
