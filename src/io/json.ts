/**
 * The first key that stands twice in one object of a JSON text, which `JSON.parse` drops in silence.
 *
 * @param text a text that `JSON.parse` takes
 */
export function findDuplicateKey(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === "{") {
      open.push(new Set());
    } else if (character === "[") {
      open.push(undefined);
    } else if (character === "}" || character === "]") {
      open.pop();
    } else if (character === '"') {
      const start = i;
      i = endOfString(text, i);
      const keys = open.at(-1);
      if (keys && isFollowedByColon(text, i + 1)) {
        const key: string = JSON.parse(text.slice(start, i + 1));
        if (keys.has(key)) {
          return key;
        }
        keys.add(key);
      }
    }
  }
  return undefined;
}

/** The index of the quote that closes the string opened at `start`. */
function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (text[i] !== '"') {
    i += text[i] === "\\" ? 2 : 1;
  }
  return i;
}

function isFollowedByColon(text: string, start: number): boolean {
  let i = start;
  while (" \t\n\r".includes(text[i])) {
    i++;
  }
  return text[i] === ":";
}
