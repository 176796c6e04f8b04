/** What the package `webgpu` and a bare `dawn.node` offer. */
export interface Dawn {
  create(flags: string[]): GPU;
}

/** `webgpu` is loaded when an adapter is asked for, so that importing handgrad costs nothing. */
export async function loadDawn(): Promise<Dawn> {
  return import("webgpu");
}
