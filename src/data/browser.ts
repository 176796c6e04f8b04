/** handgrad/data in browsers, where files come by the caller's `readFile`. */
export * from "./sets.js";
