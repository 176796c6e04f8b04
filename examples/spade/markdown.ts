// The tables of experiment.json and landscape.json as Markdown.
import type { AttributionName } from "handgrad/explain";
import { markdownTable } from "../experiment/markdown_table.js";
import type { Variant } from "./chunk.js";
import { CLEAN_PARTS } from "./clean.js";
import type { ExperimentJson } from "./experiment.js";
import type { LandscapeJson, LandscapeRow } from "./landscape.js";
import { PAPER_METHODS } from "./methods.js";
import { ALL_SETTING, MAIN_SETTING, PARTS, SMALL_SETTING, UNIFORM_SETTING } from "./plan.js";
import type { PartRow } from "./summary.js";

type AnyRow = Omit<PartRow, "net">;

/** What a column shows beside the dense network: a setting and a variant. */
interface Column {
  readonly head: string;
  readonly setting: string;
  readonly variant: Variant;
}

const column = (head: string, setting: string, variant: Variant): Column => ({ head, setting, variant });
const CONTROLS = [
  column("another sample", MAIN_SETTING, "otherSample"),
  column("magnitude", MAIN_SETTING, "magnitude"),
  column("random", MAIN_SETTING, "random"),
];
const MAIN_COLUMNS = [
  column("tuned by method", MAIN_SETTING, "fastspade"),
  column("tuned for all", ALL_SETTING, "fastspade"),
  column("those, exact solver", ALL_SETTING, "spade"),
  column("uniform .5", UNIFORM_SETTING, "fastspade"),
  ...CONTROLS,
];
const EXACT_COLUMNS = [
  column("tuned by method", MAIN_SETTING, "spade"),
  column("tuned for all", ALL_SETTING, "spade"),
];
const DEAR_COLUMNS = [column("trace", MAIN_SETTING, "fastspade"), ...CONTROLS];
const SMALL_COLUMNS = [
  column("exact solver", SMALL_SETTING, "spade"),
  column("FastSPADE", SMALL_SETTING, "fastspade"),
];
const CLEAN_COLUMNS = [column("trace", ALL_SETTING, "fastspade")];

const TITLES: { readonly [Name in AttributionName | "mean"]?: string } = {
  mean: "**mean of the paper's**",
  inputXGradient: "input × gradient",
  deepLift: "DeepLift",
  lrp: "LRP",
  guidedBackprop: "guided backprop",
  guidedGradCam: "guided Grad-CAM",
  integratedGradients: "integrated gradients",
  gradientShap: "gradient SHAP",
  smoothGrad: "SmoothGrad",
  gradCam: "Grad-CAM",
  lime: "LIME",
  featureAblation: "feature ablation",
};

/** The tables of everything that was measured. */
export function experimentMarkdown({ nets, pooled, others }: ExperimentJson): string {
  const partOf = (name: string): AnyRow[] => pooled.filter(({ part }) => part === name);
  const main = partOf(PARTS.main);
  const sections = [
    section("AUC of the network in points, and differences to it", main, MAIN_COLUMNS),
    agreementTable(main, MAIN_COLUMNS),
    floorsOf(nets),
    netByNet(others),
    section("The exact solver with ratios tuned for it", partOf(PARTS.exact), EXACT_COLUMNS),
    section("Dear methods", partOf(PARTS.dear), DEAR_COLUMNS),
    section("Layers of at most 300 inputs, half of their weights", partOf(PARTS.small), SMALL_COLUMNS),
    section("Clean images, insertion (larger is better)", partOf(CLEAN_PARTS.insertion), CLEAN_COLUMNS),
    section("Clean images, deletion (smaller is better)", partOf(CLEAN_PARTS.deletion), CLEAN_COLUMNS),
  ];
  return `${sections.filter((text) => text !== "").join("\n\n")}\n`;
}

/** A line an attribution, the paper's first: the network, and each column's difference with its interval. */
function section(title: string, rows: readonly AnyRow[], columns: readonly Column[]): string {
  const dense = rows.filter(({ variant }) => variant === "dense");
  if (dense.length === 0) return "";
  const methods = dense
    .map(({ method }) => method as AttributionName | "mean")
    .sort((a, b) => rank(a) - rank(b));
  const body = methods.map((method) => [
    TITLES[method] ?? method,
    (dense.find((row) => row.method === method) as AnyRow).auc.toFixed(1),
    ...columns.map(({ setting, variant }) => {
      const row = find(rows, setting, variant, method);
      return row ? difference(row) : "";
    }),
  ]);
  const head = ["attribution", "dense", ...columns.map(({ head }) => head)];
  return `${title}; ${dense[0].n} scenes:\n\n${markdownTable(head, body)}`;
}

const rank = (method: AttributionName | "mean"): number => {
  if (method === "mean") return -1;
  const at = PAPER_METHODS.indexOf(method);
  return at < 0 ? PAPER_METHODS.length : at;
};

const find = (
  rows: readonly AnyRow[],
  setting: string,
  variant: Variant,
  method = "mean",
): AnyRow | undefined =>
  rows.find((row) => row.setting === setting && row.variant === variant && row.method === method);

function agreementTable(rows: readonly AnyRow[], columns: readonly Column[]): string {
  const means = columns.map(({ setting, variant }) => find(rows, setting, variant));
  if (means.every((row) => row === undefined)) return "";
  const line = (title: string, of: (row: AnyRow) => string): string[] => [
    title,
    ...means.map((row) => (row ? of(row) : "")),
  ];
  return markdownTable(
    ["", ...columns.map(({ head }) => head)],
    [
      line("agreement with the network", ({ agreement }) => agreement.toFixed(2)),
      line("change of the target's logit", ({ logitChange }) => signed(logitChange)),
    ],
  );
}

function floorsOf(nets: ExperimentJson["nets"]): string {
  const of = (floor: string): string => nets.map(({ floors }) => floors[floor].auc.toFixed(1)).join(", ");
  return `Floors on the networks' scenes: Sobel's edges ${of("sobel")}, random maps ${of("random")}.`;
}

function netByNet(rows: readonly PartRow[]): string {
  const means = rows.filter(
    ({ part, setting, variant, method }) =>
      part === PARTS.main && setting === ALL_SETTING && variant === "fastspade" && method === "mean",
  );
  if (means.length === 0) return "";
  return `Network by network, the mean, tuned for all: ${means
    .map((row) => `${row.net} ${difference(row)}`)
    .join("; ")}.`;
}

const LANDSCAPE_METHODS = ["saliency", "inputXGradient", "deepLift", "lrp", "integratedGradients"] as const;

/** A line a size, part and setting. Differences whose interval leaves out 0 have a star. */
export function landscapeMarkdown({ rows }: LandscapeJson): string {
  const means = rows.filter(({ method }) => method === "mean");
  means.sort((a, b) => a.width - b.width || a.depth - b.depth);
  const body = means.map((mean) => {
    const same = (row: LandscapeRow): boolean =>
      (["width", "depth", "part", "setting", "variant"] as const).every((key) => row[key] === mean[key]);
    const own = rows.filter(same);
    const dense = mean.variant === "dense";
    return [
      `${mean.width} × ${mean.depth}, ${mean.part}`,
      dense
        ? "the network, AUC"
        : mean.setting.replaceAll("0.", ".") + (mean.variant === "spade" ? ", exact solver" : ""),
      dense ? mean.auc.toFixed(1) : difference(mean),
      ...LANDSCAPE_METHODS.map((method) => {
        const row = own.find((row) => row.method === method);
        if (!row) return "";
        if (dense) return row.auc.toFixed(1);
        return signed(row.diffToDense) + (row.diffCi[0] > 0 || row.diffCi[1] < 0 ? "\\*" : "");
      }),
      mean.agreement.toFixed(2),
      String(mean.n),
    ];
  });
  const titles = LANDSCAPE_METHODS.map((method) => TITLES[method] ?? method);
  const head = ["width × depth, scenes", "ratios, copies", "**mean**", ...titles, "agreement", "scenes"];
  return `${markdownTable(head, body)}\n`;
}

const signed = (points: number): string => {
  const text = Math.abs(points).toFixed(1);
  if (text === "0.0") return text;
  return `${points < 0 ? "−" : "+"}${text}`;
};
const difference = ({ diffToDense, diffCi }: AnyRow): string =>
  `${signed(diffToDense)} [${signed(diffCi[0])}, ${signed(diffCi[1])}]`;
