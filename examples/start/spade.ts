// The second method: a trojaned image, attributed in the network and in its trace on that image.
import type { Gpu } from "handgrad";
import { type AttributionName, maskAuc } from "handgrad/explain";
import { traceOf } from "handgrad/spade";
import type { Section } from "../report/page.js";
import { type MapRow, spadeSection } from "../report/spade_section.js";
import { mapsOf } from "../spade/methods.js";
import { loadNet, usualNets } from "../spade/nets.js";
import { COPIES } from "../spade/plan.js";
import { heldOut, imagesOf } from "../spade/samples.js";
import { readTuned } from "../spade/tuned.js";
import { startProgress } from "./progress.js";
import { printTable } from "./table.js";

/** Of the scenes on which the trigger works: one whose gain is about the mean of the first twelve. */
const IMAGE = 10;
const METHODS: readonly AttributionName[] = ["saliency", "inputXGradient", "integratedGradients", "lrp"];

export async function runSpade(gpu: Gpu): Promise<{ json: unknown; section: Section }> {
  const [name] = await usualNets();
  const { one: ratios } = await readTuned(name);
  const { model } = await loadNet(gpu, name);
  const progress = startProgress("a trace of one image");
  try {
    const sample = (await heldOut(gpu, model, { of: "evaluation", count: IMAGE + 1 }))[IMAGE];
    const image = imagesOf(gpu, [sample]);
    const trace = await traceOf(model, image, {
      ...COPIES,
      ratios,
      seed: 1,
      target: sample.target,
    });
    progress.update(0.6, "trace solved");
    const rows: MapRow[] = [];
    for (const method of METHODS) {
      const mapIn = async (network: typeof model) => {
        const [map] = await mapsOf(network, image, method, [sample.target]);
        return { map, auc: maskAuc(map, sample.mask) };
      };
      rows.push({ method, dense: await mapIn(model), trace: await mapIn(trace.model) });
      progress.update(0.6 + (0.4 * rows.length) / METHODS.length, method);
    }
    progress.stop();
    console.log();
    printTable(
      ["attribution", "AUC dense", "AUC trace"],
      rows.map(({ method, dense, trace: pruned }) => [
        method,
        ...[dense, pruned].map(({ auc }) => (100 * auc).toFixed(1)),
      ]),
    );
    const { layers, prediction, agreement, targetLogitChange, seconds } = trace;
    const section = await spadeSection({ sample, rows, trace });
    trace.dispose();
    image.dispose();
    const json = {
      net: name,
      image: sample.index,
      label: sample.label,
      target: sample.target,
      prediction,
      agreement,
      targetLogitChange,
      layers,
      seconds,
      auc: rows.map(({ method, dense, trace: pruned }) => ({ method, dense: dense.auc, trace: pruned.auc })),
    };
    return { json, section };
  } finally {
    progress.stop();
    model.dispose();
  }
}
