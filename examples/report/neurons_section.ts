// What the report shows of the first method.
import type { NeuronsResult } from "../start/neurons.js";
import type { DepartureRow } from "../neurons/departures.js";
import type { SmallNet } from "../start/small_net.js";
import { attentionMap } from "./attention_map.js";
import { lineChart } from "./line_chart.js";
import { figure, htmlTable, imageTag, type Section } from "./page.js";
import { digitSheet, type LabelledImage, weightSheet } from "./sheets.js";

const SHOWN_DIGITS = 60;
const SHOWN_NEURONS = 60;

export async function neuronsSection({
  rules,
  layers,
  test,
  departures,
  small,
}: NeuronsResult): Promise<Section> {
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
${await smallNetHtml(small, test.classNames, size)}
<h3>When it is not backpropagation</h3>
<p>The equality needs conditions. Here seven are broken, one at a time, in a small network, and the cosine between what the
lowest layer is then paid and backpropagation is compared with what the theory says it must be (computed in float64 by
other code). The control, attention as any movement of weights, is blind to the labels.</p>
${departuresTable(departures)}
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

/** What each condition says. */
const CONDITIONS: Readonly<Record<string, string>> = {
  a: "attention is a sum of squares, and more of it is always worth the same",
  b: "growth is counted to first order",
  c: "receivers are taken as they are",
  d: "all receivers learn at one rate",
  e: "growth is counted in raw payments",
  f: "payments are made sample by sample",
  j: "weights pay as they were before the update",
};

const nameOf = (condition: string): string =>
  CONDITIONS[condition] ? `(${condition}) ${CONDITIONS[condition]}` : condition;

function departuresTable(departures: readonly DepartureRow[]): string {
  const cosines = departures.filter(({ quantity }) => quantity.startsWith("cosine"));
  const number = (value: number): string => value.toFixed(4);
  return htmlTable(
    ["broken condition", "by", "predicted cosine", "measured", "as predicted"],
    cosines.map(({ condition, form, predicted, measured }, index) => [
      // Said once for all rows of a condition.
      cosines[index - 1]?.condition === condition ? "" : nameOf(condition),
      form,
      number(predicted),
      number(measured),
      departures.every((row) => row.form !== form || row.holds) ? "yes" : "NO",
    ]),
  );
}

/** The small network: who paid whom, and how the rules go. */
async function smallNetHtml(small: SmallNet, outputs: readonly string[], size: number): Promise<string> {
  const { runs, incoming, outgoing, trainCount, hidden } = small;
  const [{ result }] = runs;
  const last = result.observations[result.observations.length - 1].layers[1];
  const map = await attentionMap({
    incoming,
    outgoing,
    attention: last.attention,
    paid: result.ledger[1].paid,
    size,
    outputs,
  });
  const seriesOf = (value: (layers: (typeof result.observations)[number]["layers"]) => number) =>
    runs.map(({ title, result: { observations } }) => ({
      title,
      points: observations.map(({ epoch, layers }) => [epoch, value(layers)] as const),
    }));
  const accuracies = runs.map(
    ({ title, result: own }) => `${title} ${(100 * own.testAccuracy).toFixed(1)} %`,
  );
  const silent = runs.map(({ title, result: { observations } }) => {
    const { silent } = observations[observations.length - 1].layers[1];
    return `${title} ${silent}`;
  });
  return `<h3>Who pays whom</h3>
<p>A network of only ${hidden} neurons, trained on ${trainCount.toLocaleString("en")} digits in the same way, which start with almost no
attention and must earn it. Each neuron is the picture that it looks for. A
blue line goes to a digit that pays it because it speaks <em>for</em> that digit, a dashed orange one to a digit that pays
it because it speaks <em>against</em>; the thicker, the more the digit's payments made the neuron's attention grow. The bar
is the attention that it holds in the end.</p>
${figure(
  map,
  "Neurons stand beside the digits that pay them most; payments below a fifth of the largest are left out. A neuron that " +
    "nobody pays stays what it was: noise, without attention.",
)}
<div class="pair">
${figure(
  lineChart(
    "cosine to backpropagation",
    "epoch",
    seriesOf((layers) => layers[0].cosine),
  ),
  `Cosine between what the neurons are paid and backpropagation, by rule. Test accuracy: ${accuracies.join(", ")}.`,
)}
${figure(
  lineChart(
    "inequality of attention",
    "epoch",
    seriesOf((layers) => layers[1].gini),
  ),
  `Inequality of attention among the ${hidden} neurons (Gini: 0 if all hold the same). Neurons silent on all digits: ${silent.join(", ")}.`,
)}
</div>`;
}
