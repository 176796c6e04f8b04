/** handgrad/data on Node. */
export { loadFashion, loadMnist } from "./load_node.js";
export * from "./sets.js";
