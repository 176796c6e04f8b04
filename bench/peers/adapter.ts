/** What a peer's process takes from handgrad: the way to the same adapter. */
export { findNodeAdapter } from "../../src/node/adapter.js";

/** The constants that peers expect as globals: GPUBufferUsage and the like. */
export async function webgpuGlobals(): Promise<object> {
  return (await import("webgpu")).globals;
}
