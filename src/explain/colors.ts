/** Color maps whose steps look even, of d3-scale-chromatic. */
import {
  interpolateCividis,
  interpolateGreys,
  interpolateInferno,
  interpolateMagma,
  interpolateRdBu,
  interpolateViridis,
} from "d3-scale-chromatic";

export type Color = readonly [number, number, number];

/** "redBlue" goes from blue over white to red and is for signed maps; the others go from dark to bright. */
export type ColorMap = "inferno" | "magma" | "viridis" | "cividis" | "gray" | "redBlue";

// The type keeps the package's own types out of the declarations that users' compilers read.
const MAPS: Readonly<Record<ColorMap, (share: number) => string>> = {
  inferno: interpolateInferno,
  magma: interpolateMagma,
  viridis: interpolateViridis,
  cividis: interpolateCividis,
  gray: (t: number) => interpolateGreys(1 - t),
  redBlue: (t: number) => interpolateRdBu(1 - t),
};

export const colorMaps = Object.keys(MAPS) as readonly ColorMap[];

const STEPS = 256;
const tables = new Map<ColorMap, readonly Color[]>();

/** The color of a number from 0 to 1, in bytes. */
export function colorOf(map: ColorMap, share: number): Color {
  let table = tables.get(map);
  if (!table) {
    table = Array.from({ length: STEPS }, (_, i) => parse(MAPS[map](i / (STEPS - 1))));
    tables.set(map, table);
  }
  return table[Math.min(STEPS - 1, Math.max(0, Math.round(share * (STEPS - 1))))];
}

/** d3 gives "#rrggbb" or "rgb(r, g, b)". */
function parse(text: string): Color {
  const hex = /^#(..)(..)(..)$/.exec(text);
  if (hex) return [hex[1], hex[2], hex[3]].map((byte) => Number.parseInt(byte, 16)) as unknown as Color;
  return (text.match(/\d+/g) ?? []).map(Number) as unknown as Color;
}
