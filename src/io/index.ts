/** handgrad/io on Node. */
export * from "./formats.js";
export { decodePng, encodePng } from "./png_node.js";
export { readFileBytes } from "./read_file.js";
