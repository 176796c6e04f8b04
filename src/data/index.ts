/** handgrad/data on Node. */
export { loadDna, loadFashion, loadMnist } from "./load_node.js";
export * from "./sets.js";
