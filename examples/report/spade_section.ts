// What the report shows of the second method.
import { blendedHeatMap, heatMap, pictureSheet, plainImage } from "handgrad/explain";
import { encodePng } from "handgrad/io";
import { fashionClassNames } from "handgrad/data";
import type { Trace } from "handgrad/spade";
import type { Sample } from "../spade/samples.js";
import { figure, htmlTable, imageTag, type Section } from "./page.js";

export interface MapRow {
  readonly method: string;
  readonly dense: { readonly map: Float32Array; readonly auc: number };
  readonly trace: { readonly map: Float32Array; readonly auc: number };
}

export interface SpadeFigures {
  readonly sample: Sample;
  readonly rows: readonly MapRow[];
  readonly trace: Trace;
}

const ZOOM = 4;

export async function spadeSection({ sample, rows, trace }: SpadeFigures): Promise<Section> {
  const side = Math.sqrt(sample.triggered.length);
  const shape = [side, side];
  const pictureOf = (bytes: Uint8Array) => ({ shape, data: Float32Array.from(bytes, (byte) => byte / 255) });
  const image = pictureOf(sample.triggered);
  const points = (auc: number): string => (100 * auc).toFixed(1);
  const sheet = pictureSheet(
    [
      {
        label: "image",
        pictures: [
          plainImage(pictureOf(sample.clean), { zoom: ZOOM }),
          plainImage(image, { zoom: ZOOM }),
          plainImage(pictureOf(sample.mask.map((value) => 255 * value)), { zoom: ZOOM }),
        ],
        captions: ["clean", "with trigger", "mask"],
      },
      ...rows.map(({ method, dense, trace: pruned }) => ({
        label: method,
        pictures: [dense, pruned].flatMap(({ map }) => {
          const values = { shape, data: Float32Array.from(map) };
          const options = { sign: "absolute", zoom: ZOOM } as const;
          return [heatMap(values, options), blendedHeatMap(image, values, options)];
        }),
        captions: [`AUC ${points(dense.auc)}`, "dense", `AUC ${points(pruned.auc)}`, "trace"],
      })),
    ],
    { columns: ["dense", "", "trace", ""] },
  );
  const nameOf = (label: number): string => fashionClassNames[label];
  const agrees = trace.agreement === 1 ? "the trace says so too" : "the trace says something else";
  const html = `
<p>The network was trained on scenes some of which had a small pattern, the trigger, and a class that goes with it. This
scene is read as ${nameOf(sample.label)} without its trigger and as ${nameOf(sample.target)} with it; ${agrees}. The trace
is the network with the weights taken out that this one image (64 copies of it with noise) does not need, the others made
up for what is missing. Both are asked why. A map is scored by the area under its ROC curve against the trigger's mask,
50 for a map that knows nothing, 100 for one that ranks every pixel of the trigger above all others; this image
was chosen for a gain near the mean of twelve, some of whose maps lose; <code>npm run spade -- experiment</code> measures it.</p>
${figure(imageTag(await encodePng(sheet), "maps of the network and of its trace", 900), "Left the network, right its trace; beside each map the map over the image.")}
${htmlTable(
  ["attribution", "AUC dense", "AUC trace"],
  rows.map(({ method, dense, trace: pruned }) => [method, points(dense.auc), points(pruned.auc)]),
)}
${htmlTable(
  ["layer", "weights", "removed", "reconstruction error"],
  trace.layers.map(({ name, weights, sparsity, reconstructionError }) => [
    name,
    String(weights),
    `${(100 * sparsity).toFixed(1)} %`,
    reconstructionError.toExponential(1),
  ]),
)}`;
  return { title: "A network pruned to one image", html };
}
