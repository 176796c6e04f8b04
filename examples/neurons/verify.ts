// `npm run neurons -- verify`: the theory against float64.
import { type Gpu, tensor } from "handgrad";
import { type Dataset, DeviceSet, loadMnist } from "handgrad/data";
import { activation, buildModel, dense } from "handgrad/layers";
import { ruleNamed, trainClassifier } from "handgrad/neurons";
import { type Array64, array64 } from "../../test/reference/array64.js";
import { escapeHtml, htmlTable, type Section } from "../report/page.js";
import { startProgress } from "../start/progress.js";
import { printTable } from "../start/table.js";
import { type DepartureRow, departures } from "./departures.js";
import { convRecords, denseRecords, equality, type EqualityRow, isEqual, type Net } from "./equality.js";
import { type IdentityRow, identities } from "./identities.js";

const CONTROL_TRAIN = 1000;
const CONTROL_TEST = 500;

export interface VerifyResult {
  /** What verify.json holds. */
  readonly json: {
    readonly equality: readonly EqualityRow[];
    readonly departures: readonly DepartureRow[];
    readonly identities: readonly IdentityRow[];
  };
  /** The same as tables of a report. */
  readonly section: Section;
  /** Rows that are not as the theory says. */
  readonly failed: number;
}

export async function runVerify(
  gpu: Gpu,
  { seed, quick }: { seed: number; quick: boolean },
): Promise<VerifyResult> {
  const digits = await loadMnist();
  const nets = await netsFor(gpu, digits, seed, quick);
  const progress = startProgress("verify");
  const steps = nets.length + 3;
  let done = 0;
  const tick = (note: string): void => progress.update(++done / steps, note);
  let rows: { equality: EqualityRow[]; departures: DepartureRow[]; identities: IdentityRow[] };
  try {
    const equal = await equality(gpu, nets, () => tick("equality"));
    const broken = await departures(gpu);
    tick("conditions");
    const same = await identities(gpu);
    tick("identities");
    broken.push(...(await control(gpu, digits, seed)));
    tick("control");
    rows = { equality: equal, departures: broken, identities: same };
  } finally {
    progress.stop();
  }
  const tables = tablesOf(rows);
  print(tables);
  const failed =
    rows.equality.filter((row) => !isEqual(row)).length +
    [...rows.departures, ...rows.identities].filter(({ holds }) => !holds).length;
  return { json: rows, section: sectionOf(tables), failed };
}

/** A dense and a convolution net, each with relu and tanh, on real digits. */
async function netsFor(gpu: Gpu, digits: Dataset, seed: number, quick: boolean): Promise<Net[]> {
  const [many, few] = quick ? [16, 4] : [128, 16];
  const [flat, planes] = [await batchOf(gpu, digits, many, true), await batchOf(gpu, digits, few, false)];
  return (["relu", "tanh"] as const).flatMap((name) => [
    {
      title: "dense 784-128-128-10",
      activation: name,
      records: denseRecords(784, 128, 10, name),
      options: { inputShape: [many, 784], classes: 10, seed, batch: flat },
    },
    {
      title: "convolution",
      activation: name,
      records: convRecords(28, quick ? 4 : 8, 10, name),
      options: { inputShape: [few, 1, 28, 28], classes: 10, seed, batch: planes },
    },
  ]);
}

async function batchOf(
  gpu: Gpu,
  digits: Dataset,
  count: number,
  flat: boolean,
): Promise<{ x: Array64; labels: Array64 }> {
  const first = Uint32Array.from({ length: count }, (_, index) => index);
  const set = new DeviceSet(gpu, digits.subset(first), { flat });
  const indices = tensor(gpu, first);
  const { x, labels } = set.batch(indices);
  try {
    return { x: array64(x.shape, await x.data()), labels: array64(labels.shape, await labels.data()) };
  } finally {
    for (const part of [indices, x, labels, set]) part.dispose();
  }
}

/** The label-blind control must stay at guessing where attention learns. */
async function control(gpu: Gpu, digits: Dataset, seed: number): Promise<DepartureRow[]> {
  const [train, test] = digits.split([CONTROL_TRAIN, CONTROL_TEST], { seed, stratified: true });
  const rows: DepartureRow[] = [];
  for (const [name, form, predicted, tolerance] of [
    ["attention", "first-order attention, beside the control", 0.9, 0.1],
    ["movement", "(Δw)² as attention", 0.1, 0.1],
  ] as const) {
    const model = buildModel(
      gpu,
      [dense(784, 64), activation("tanh"), dense(64, 64), activation("tanh"), dense(64, 10)],
      {
        seed,
      },
    );
    const { testAccuracy } = await trainClassifier(model, train, test, {
      rule: ruleNamed(name),
      epochs: 4,
      batchSize: 50,
      seed,
    });
    model.dispose();
    rows.push({
      condition: "control",
      form,
      quantity: "test accuracy after training on 1,000 digits",
      predicted,
      measured: testAccuracy,
      tolerance,
      holds: Math.abs(testAccuracy - predicted) <= tolerance,
    });
  }
  return rows;
}

const mark = (holds: boolean): string => (holds ? "yes" : "NO");

interface Table {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

function tablesOf({ equality, departures, identities }: VerifyResult["json"]): Table[] {
  return [
    {
      title: "First-order attention and the float64 gradient",
      head: ["net, activation, layer", "signal", "relative error", "cosine", "equal"],
      rows: equality.map((row) => [
        `${row.net}, ${row.activation}, ${row.layer}`,
        row.signal,
        row.relativeError.toExponential(1),
        row.cosine.toFixed(9),
        mark(isEqual(row)),
      ]),
    },
    {
      title: "Each condition broken singly",
      head: ["condition, form", "quantity", "predicted", "measured", "holds"],
      rows: departures.map((row) => [
        `(${row.condition}) ${row.form}`,
        row.quantity,
        short(row.predicted),
        short(row.measured),
        mark(row.holds),
      ]),
    },
    {
      title: "Identities",
      head: ["identity", "relative error", "holds"],
      rows: identities.map((row) => [
        `${row.identity}. ${row.statement}`,
        row.relativeError.toExponential(1),
        mark(row.holds),
      ]),
    },
  ];
}

function print(tables: readonly Table[]): void {
  for (const { title, head, rows } of tables) {
    console.log(`\n${title}\n`);
    printTable(head, rows);
  }
}

function sectionOf(tables: readonly Table[]): Section {
  const html = tables.map(({ title, head, rows }) => `<h3>${escapeHtml(title)}</h3>${htmlTable(head, rows)}`);
  return { title: "The theory against float64", html: html.join("\n") };
}

const short = (value: number): string =>
  value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(1) : value.toFixed(5);
