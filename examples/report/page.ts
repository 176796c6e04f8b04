// The report: one HTML file that needs nothing beside it.
import { writeFile } from "node:fs/promises";

export interface Section {
  readonly title: string;
  readonly html: string;
}

export interface Page {
  readonly adapter: {
    readonly description: string;
    readonly vendor: string;
    readonly kind: string;
    readonly driver: string;
  };
  readonly seed: number;
  readonly seconds: number;
  readonly sections: readonly Section[];
}

const STYLE = `
  :root { color-scheme: light dark; --ink: #1c2430; --soft: #5d6b7e; --paper: #fff; --card: #f5f7fa; --line: #d9e0e8;
    --first: #2563b0; --second: #d9762b; --third: #17805a; --fourth: #8b52c4; --fifth: #6b7280; --bad: #c0392b; --good: #1e8e5a; }
  @media (prefers-color-scheme: dark) { :root { --ink: #e8edf3; --soft: #9aa8b8; --paper: #12171e; --card: #1b222c;
    --line: #313c4a; --first: #6ea8ec; --second: #f0a060; --third: #52c99a; --fourth: #bd93ee; --fifth: #a3adba; --bad: #ff8a7a; --good: #5fd39b; } }
  body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;
    margin: 2rem auto; padding: 0 1rem; }
  h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; } h3 { margin: 1.5rem 0 .5rem; }
  p.lead, figcaption, small { color: var(--soft); }
  table { border-collapse: collapse; margin: .5rem 0; } th, td { padding: .3rem .9rem .3rem 0; text-align: right; }
  th { border-bottom: 1px solid var(--line); font-weight: 600; } th:first-child, td:first-child { text-align: left; }
  figure { margin: 1rem 0; background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1rem; }
  figure img, figure svg { max-width: 100%; height: auto; display: block; } img { image-rendering: pixelated; }
  .pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 1rem; } .pair figure { margin: 0; }
  svg text { fill: var(--soft); font: 12px system-ui, sans-serif; } svg .axis { stroke: var(--line); }
  ${["first", "second", "third", "fourth", "fifth"]
    .map(
      (name) =>
        `svg path.${name} { stroke: var(--${name}); } svg circle.${name}, svg text.${name} { fill: var(--${name}); }`,
    )
    .join("\n  ")}
  svg text.head { font-size: 15px; font-weight: 600; } svg text.large { font-size: 18px; fill: var(--ink); }
  .wide { overflow-x: auto; } .wide td:first-child { min-width: 9rem; }`;

/** Writes the whole page. */
export async function writePage(file: string, { adapter, seed, seconds, sections }: Page): Promise<void> {
  const name = escapeHtml(adapter.description || adapter.vendor);
  const body = sections
    .map(({ title, html }) => `<section><h2>${escapeHtml(title)}</h2>${html}</section>`)
    .join("\n");
  const html = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>handgrad report</title><style>${STYLE}</style></head><body>
<h1>handgrad</h1>
<p class="lead">${name} (${escapeHtml(adapter.kind)} adapter, ${escapeHtml(adapter.driver)}) · seed ${seed} · ${seconds.toFixed(1)} s</p>
${body}
</body></html>
`;
  await writeFile(file, html);
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** A table; the first column is text, the others are numbers. */
export function htmlTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (tag: string, row: readonly string[]): string =>
    `<tr>${row.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join("")}</tr>`;
  const body = rows.map((row) => cells("td", row)).join("");
  return `<div class="wide"><table><thead>${cells("th", head)}</thead><tbody>${body}</tbody></table></div>`;
}

/** A figure around an image or drawing. */
export function figure(content: string, caption: string): string {
  return `<figure>${content}<figcaption>${escapeHtml(caption)}</figcaption></figure>`;
}

/** A PNG inside the page. */
export function imageTag(png: Uint8Array, alt: string, width: number): string {
  return `<img src="data:image/png;base64,${Buffer.from(png).toString("base64")}" alt="${escapeHtml(alt)}" width="${width}">`;
}
