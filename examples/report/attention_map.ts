// Who pays whom in a network with one hidden layer, as SVG: each hidden neuron as a picture of what it looks for, lines to
// the outputs that pay it.
import { weightSheet } from "./sheets.js";
import { escapeHtml } from "./page.js";

export interface AttentionMap {
  /** [pixels, neurons], [neurons, outputs]. */
  readonly incoming: Float32Array;
  readonly outgoing: Float32Array;
  /** By neuron. */
  readonly attention: Float32Array;
  /** [neurons, outputs], by how much an output's payments made a neuron's attention grow. */
  readonly paid: Float32Array;
  /** The side of the pictures. */
  readonly size: number;
  readonly outputs: readonly string[];
}

const WIDTH = 520;
const TOP = 44;
const ROW = 46;
const PICTURE = 40;
const PICTURE_X = 150;
const BAR = 110;
const OUTPUT_X = WIDTH - 60;
const THICKEST = 11;
/** A line a pair would hide the rest: those below this share of the largest payment are left out. */
const LEAST_SHARE = 0.2;

interface Link {
  readonly neuron: number;
  readonly output: number;
  readonly paid: number;
  readonly agrees: boolean;
}

/** The picture. Neurons stand where the outputs that pay them most are, so that lines run level. */
export async function attentionMap(map: AttentionMap): Promise<string> {
  const { attention, paid, outgoing, outputs, size } = map;
  const [neurons, classes] = [attention.length, outputs.length];
  const links: Link[] = Array.from({ length: neurons * classes }, (_, at) => ({
    neuron: Math.floor(at / classes),
    output: at % classes,
    paid: paid[at],
    agrees: outgoing[at] > 0,
  }));
  const most = Math.max(...links.map((link) => link.paid), 1e-30);
  const shown = links.filter((link) => link.paid >= LEAST_SHARE * most).sort((a, b) => a.paid - b.paid);
  const place = (neuron: number): number => {
    const own = shown.filter((link) => link.neuron === neuron);
    const total = own.reduce((sum, link) => sum + link.paid, 0);
    return total === 0 ? classes : own.reduce((sum, link) => sum + link.paid * link.output, 0) / total;
  };
  const order = Array.from({ length: neurons }, (_, neuron) => neuron).sort((a, b) => place(a) - place(b));
  const height = TOP + ROW * neurons + 8;
  const neuronY = (neuron: number): number => TOP + ROW * (order.indexOf(neuron) + 0.5);
  const outputY = (output: number): number => TOP + ((height - TOP - 8) / classes) * (output + 0.5);
  const lines = shown.map((link) => {
    const [y, to] = [neuronY(link.neuron), outputY(link.output)];
    const [left, right] = [PICTURE_X + PICTURE + 4, OUTPUT_X - 20];
    const middle = (left + right) / 2;
    const color = link.agrees ? "first" : "second";
    const share = link.paid / most;
    const says = `neuron ${link.neuron} was paid ${link.paid.toPrecision(2)} by ${outputs[link.output]}, ${link.agrees ? "for" : "against"}`;
    return (
      `<path class="${color}" d="M${left} ${y}C${middle} ${y} ${middle} ${to} ${right} ${to}" fill="none" ` +
      `stroke-width="${(THICKEST * Math.sqrt(share)).toFixed(2)}" stroke-opacity="0.7"${link.agrees ? "" : ' stroke-dasharray="7 5"'}>` +
      `<title>${escapeHtml(says)}</title></path>`
    );
  });
  const widest = Math.max(...attention, 1e-30);
  const rows = await Promise.all(
    order.map(async (neuron) => {
      const y = neuronY(neuron);
      const bar = (BAR * attention[neuron]) / widest;
      const own = Float32Array.from(
        { length: size * size },
        (_, pixel) => map.incoming[pixel * neurons + neuron],
      );
      const png = await weightSheet(own, 1, size, 1, 1);
      return (
        `<rect x="${PICTURE_X - 10 - bar}" y="${y - 7}" width="${bar.toFixed(1)}" height="14" rx="3" fill="var(--third)">` +
        `<title>neuron ${neuron} holds an attention of ${attention[neuron].toPrecision(3)}</title></rect>` +
        `<image x="${PICTURE_X}" y="${y - PICTURE / 2}" width="${PICTURE}" height="${PICTURE}" ` +
        `href="data:image/png;base64,${Buffer.from(png).toString("base64")}"/>`
      );
    }),
  );
  const circles = outputs.map(
    (name, output) =>
      `<circle cx="${OUTPUT_X}" cy="${outputY(output)}" r="16" fill="none" stroke="var(--soft)" stroke-width="1.5"/>` +
      `<text x="${OUTPUT_X}" y="${outputY(output) + 6}" text-anchor="middle" class="large">${escapeHtml(name)}</text>`,
  );
  const heads = [
    [PICTURE_X - 22, "end", "attention"],
    [PICTURE_X - 12, "start", "looks for"],
    [OUTPUT_X, "middle", "paid by"],
  ].map(([x, anchor, text]) => `<text x="${x}" y="22" text-anchor="${anchor}" class="head">${text}</text>`);
  return (
    `<svg viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" role="img" aria-label="who pays whom">` +
    `${[...lines, ...rows, ...circles, ...heads].join("")}</svg>`
  );
}
