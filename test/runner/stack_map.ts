import { SourceMap } from "node:module";

/** Rewrites the places of a stack in the served bundle to those of the sources. */
export function stackMapper(sourceMap: string): (text: string) => string {
  const map = new SourceMap(JSON.parse(sourceMap));
  return (text) =>
    text.replace(/https?:\/\/[^\s)]*\/suites\.js:(\d+):(\d+)/g, (place, line, column) => {
      const entry = map.findEntry(Number(line) - 1, Number(column) - 1);
      if (!("originalSource" in entry)) return place;
      const source = entry.originalSource.replace(/^(\.\.\/)+/, "");
      return `${source}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
    });
}
