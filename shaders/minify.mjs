// Shortens the shaders for dist: white space around operators goes, and names that only their file knows become one
// or two letters. Lines stay, and so do directives and all that the host finds or replaces in the text by name.

/** What is copied as it stands: directives, lines that the host rewrites, attributes, address spaces, members. */
const VERBATIM = /^(?:\/\/ @.*|(?:alias|enable) .*|@builtin\(\w+\)|@\w+|var<.*?>|\.\w+)/;
const TOKEN = new RegExp(`${VERBATIM.source.slice(1)}|\\w+|[^\\S\\n]+|[\\s\\S]`, "gm");

/** Where names are declared: by a keyword, or in the head of a function. */
const DECLARED = /\b(?:let|const|fn|struct|var(?:<.*?>)?) +(\w+)/g;
const FUNCTION_HEAD = /\bfn \w+\(([^{]*)\{/g;
const FUNCTION = /\bfn (\w+)/g;
const CALLED = /\b(\w+)\(/g;

/** Names that the host looks for. */
const BINDING = /@binding\(\d+\) +var<storage.*?> +(\w+)/g;
const ALIAS = /^(alias .*)/gm;
const CONSTANTS = /\/\/ @constants\n([\s\S]*?)\/\/ @end/g;
/** `handed` is replaced by the subgroups' own function in neurons/outer_product.ts. */
const HOST_NAMES = ["main", "handed"];

/** Words of two letters that WGSL keeps to itself. */
const RESERVED = new Set(["as", "do", "fn", "if", "in", "of", "or"]);
const LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

const firstGroups = (text, pattern) => [...text.matchAll(pattern)].map(([, group]) => group);
const wordsOf = (text) => text.match(/(?<!\.)\b[a-zA-Z_]\w*/g) ?? [];

/** The names that may be shortened in a text without comments. */
function ownNames(text) {
  const names = new Set(firstGroups(text, DECLARED));
  for (const head of firstGroups(text, FUNCTION_HEAD)) {
    for (const name of firstGroups(head, /(\w+):/g)) names.add(name);
  }
  const kept = [...HOST_NAMES, ...firstGroups(text, BINDING), ...firstGroups(text, ALIAS).flatMap(wordsOf)];
  for (const block of firstGroups(text, CONSTANTS)) kept.push(...firstGroups(block, DECLARED));
  // `round` is a variable somewhere, and WGSL's own function elsewhere.
  const functions = new Set(firstGroups(text, FUNCTION));
  kept.push(...firstGroups(text, CALLED).filter((name) => !functions.has(name)));
  for (const name of kept) names.delete(name);
  return names;
}

/**
 * Short names for all shaders of the library at once: a name has the same in every file, since compression lives on
 * what repeats, and the most frequent ones have a letter.
 * @param texts the shaders without comments
 * @returns what shortens one of them
 */
export function minifierOf(texts) {
  const uses = new Map();
  const taken = new Set(RESERVED);
  for (const text of texts) {
    const own = ownNames(text);
    for (const word of wordsOf(text)) {
      if (own.has(word)) uses.set(word, (uses.get(word) ?? 0) + 1);
      else taken.add(word);
    }
  }
  const byUse = [...uses].sort(([a, usesOfA], [b, usesOfB]) => usesOfB - usesOfA || (a < b ? -1 : 1));
  const free = [
    ...LETTERS,
    ...[...LETTERS].flatMap((first) => [...LETTERS].map((second) => first + second)),
  ].filter((name) => !taken.has(name));
  if (free.length < byUse.length)
    throw new Error(`${byUse.length} names in shaders, and ${free.length} short ones`);
  const short = new Map(byUse.map(([name], index) => [name, free[index]]));
  return (text) => minify(text, short);
}

/** One name becomes one other wherever it stands, so that scopes stay what they are. */
function minify(text, short) {
  const own = ownNames(text);
  let result = "";
  let space = false;
  let inStruct = false;
  const tokens = text.match(TOKEN) ?? [];
  for (const [index, token] of tokens.entries()) {
    if (/^[^\S\n]+$/.test(token)) {
      space = true;
      continue;
    }
    if (token === "struct") inStruct = true;
    if (token === "}") inStruct = false;
    const field = inStruct && tokens[index + 1] === ":";
    const next = own.has(token) && !field ? short.get(token) : token;
    if (space && wouldJoin(result, next)) result += " ";
    result += next;
    space = false;
  }
  return result;
}

/** Whether two tokens without a space between them would be read as others: `a - -b`, `array<f32> = x`. */
function wouldJoin(before, next) {
  return (
    (/\w$/.test(before) && /^\w/.test(next)) || (/[-+*/%&|^<>=!]$/.test(before) && /^[-+*/&|<>=]/.test(next))
  );
}
