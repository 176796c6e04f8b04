/** Letters for pictures: 5 × 8 pixels each, of which the last row is below the line. */

export const GLYPH_WIDTH = 5;
export const GLYPH_HEIGHT = 8;

/** A row is five bits, the leftmost the highest, written as one digit to base 32. */
const GLYPHS: Readonly<Record<string, string>> = {
  A: "ehhvhhh0",
  B: "uhhuhhu0",
  C: "ehggghe0",
  D: "uhhhhhu0",
  E: "vgguggv0",
  F: "vgguggg0",
  G: "ehgnhhf0",
  H: "hhhvhhh0",
  I: "e44444e0",
  J: "72222ic0",
  K: "hikokih0",
  L: "ggggggv0",
  M: "hrllhhh0",
  N: "hhpljhh0",
  O: "ehhhhhe0",
  P: "uhhuggg0",
  Q: "ehhhlid0",
  R: "uhhukih0",
  S: "fgge11u0",
  T: "v4444440",
  U: "hhhhhhe0",
  V: "hhhhha40",
  W: "hhhllla0",
  X: "hha4ahh0",
  Y: "hhha4440",
  Z: "v1248gv0",
  a: "00e1fhf0",
  b: "ggmphhu0",
  c: "00egghe0",
  d: "11djhhf0",
  e: "00ehvge0",
  f: "698s8880",
  g: "00fhhf1e",
  h: "ggmphhh0",
  i: "40c444e0",
  j: "206222ic",
  k: "ggikoki0",
  l: "c44444e0",
  m: "00qllhh0",
  n: "00mphhh0",
  o: "00ehhhe0",
  p: "00uhhugg",
  q: "00fhhf11",
  r: "00mpggg0",
  s: "00ege1u0",
  t: "88s88960",
  u: "00hhhjd0",
  v: "00hhha40",
  w: "00hhlla0",
  x: "00ha4ah0",
  y: "00hhhf1e",
  z: "00v248v0",
  "0": "ehjlphe0",
  "1": "4c4444e0",
  "2": "eh1248v0",
  "3": "v2421he0",
  "4": "26aiv220",
  "5": "vgu11he0",
  "6": "68guhhe0",
  "7": "v1248880",
  "8": "ehhehhe0",
  "9": "ehhf12c0",
  ".": "00000cc0",
  ",": "00000c48",
  "-": "000v0000",
  "+": "044v4400",
  "%": "op248j30",
  "(": "24888420",
  ")": "84222480",
  "[": "e88888e0",
  "]": "e22222e0",
  "/": "01248g00",
  ":": "0cc0cc00",
  "=": "00v0v000",
  _: "0000000v",
  "×": "0ha4ah00",
  "|": "44444440",
  "<": "248g8420",
  ">": "84212480",
  "?": "eh124040",
  "!": "44444040",
  "'": "44800000",
  "#": "aavavaa0",
  "*": "04lel400",
  "&": "cik8lid0",
  " ": "00000000",
};

/** What stands for a character that is not here. */
const UNKNOWN = "vhhhhhv0";

/** The set pixels of a text, from its upper left corner. */
export function drawText(text: string, plot: (x: number, y: number) => void): void {
  [...text].forEach((character, index) => {
    const rows = Object.hasOwn(GLYPHS, character) ? GLYPHS[character] : UNKNOWN;
    [...rows].forEach((digit, y) => {
      const bits = Number.parseInt(digit, 32);
      for (let x = 0; x < GLYPH_WIDTH; x++) {
        if ((bits >> (GLYPH_WIDTH - 1 - x)) & 1) plot(index * (GLYPH_WIDTH + 1) + x, y);
      }
    });
  });
}

/** The width of a text in pixels. */
export function textWidth(text: string): number {
  return Math.max(0, [...text].length * (GLYPH_WIDTH + 1) - 1);
}
