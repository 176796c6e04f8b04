/** handgrad/io in browsers. */
export * from "./formats.js";
export { decodePng, encodePng } from "./png_browser.js";
