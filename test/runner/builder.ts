import type { BuildOptions } from "esbuild";

/** What the runner takes from build.mjs, which it is handed so as not to be bundled with it. */
export interface Builder {
  readonly root: string;
  bundleOptions(host: "node" | "browser"): BuildOptions;
}
