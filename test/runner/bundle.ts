import { readdirSync } from "node:fs";
import { join } from "node:path";
import { build, type Plugin } from "esbuild";
import type { Builder } from "./builder.js";
import type { HostName } from "./options.js";

/** The test files for a host: test/*.test.ts for every host, test/node/*.test.ts for Node only. */
export function testFiles(root: string, host: HostName, filter: string[]): string[] {
  const folders = host === "node" ? ["test", join("test", "node")] : ["test"];
  return folders
    .flatMap((folder) => readdirSync(join(root, folder)).map((name) => join(folder, name)))
    .filter((file) => file.endsWith(".test.ts"))
    .filter((file) => filter.length === 0 || filter.some((text) => file.includes(text)))
    .sort();
}

/** Bundles test files and what runs them into one module for a host. */
export async function bundleSuites(
  { root, bundleOptions }: Builder,
  host: HostName,
  files: string[],
  outfile: string,
): Promise<void> {
  const options = bundleOptions(host === "node" ? "node" : "browser");
  await build({
    ...options,
    plugins: [uvuPlugin(root), ...(options.plugins ?? [])],
    stdin: { contents: entry(host, files), resolveDir: root, sourcefile: "suites.ts", loader: "ts" },
    outfile,
    sourcemap: host === "node" ? "inline" : true,
    sourcesContent: false,
    define: { "globalThis.UVU_DEFER": "1" },
    ...(host === "node" && { packages: "external" }),
  });
}

/** Files are loaded when their turn comes. */
function entry(host: HostName, files: string[]): string {
  const table = files.map((file) => `[${JSON.stringify(file)}, () => import("./${file}")],`);
  return `
    import { finish, report } from "./test/runner/${host}_side.js";
    import { runFiles } from "./test/runner/suites.js";
    await runFiles([${table.join("\n")}], report);
    finish();
  `;
}

/**
 * Test files that import "uvu" get the runner's guarded version of it; that one gets uvu itself, bundled, so that
 * the definition that keeps it from running suites by itself applies.
 */
function uvuPlugin(root: string): Plugin {
  const guarded = join(root, "test", "runner", "suite.ts");
  const uvu = join(root, "node_modules", "uvu", "dist", "index.mjs");
  return {
    name: "uvu",
    setup(bundler) {
      bundler.onResolve({ filter: /^uvu$/ }, ({ importer }) => ({
        path: importer === guarded ? uvu : guarded,
      }));
    },
  };
}
