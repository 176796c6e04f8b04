// Bundles the bench and runs it: `npm run bench -- --help`.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { bundleForNode, runProgram } from "../build.mjs";

const folder = fileURLToPath(new URL(".", import.meta.url));
const args = process.argv.slice(2);

/** Peers as a user's bundler makes them: tfjs' own files for Node leave its gradients out. */
async function bundlePeers(outdir) {
  for (const peer of ["tfjs", "jax"]) {
    const entry = join(folder, "peers", `${peer}.mjs`);
    const banner =
      'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);';
    await build({
      entryPoints: [entry],
      outdir,
      bundle: true,
      format: "esm",
      platform: "node",
      mainFields: ["module", "main"],
      banner: { js: banner },
      outExtension: { ".js": ".mjs" },
      logLevel: "silent",
    }).catch(() => {}); // not installed: run.ts says so
  }
}

if (args.includes("--page")) {
  const { servePage } = await import("./page/serve.mjs");
  await servePage();
} else {
  const main = await bundleForNode(join(folder, "run.ts"), "bench");
  const adapter = await bundleForNode(join(folder, "peers", "adapter.ts"), "bench-adapter");
  const peers = `${adapter}-peers`;
  await bundlePeers(peers);
  try {
    process.exitCode = await runProgram(process.execPath, ["--enable-source-maps", main, ...args], {
      env: {
        ...process.env,
        HANDGRAD_BENCH_FOLDER: folder,
        HANDGRAD_BENCH_ADAPTER: adapter,
        HANDGRAD_BENCH_PEERS: peers,
      },
    });
  } finally {
    for (const path of [main, adapter, peers]) await rm(path, { force: true, recursive: true });
  }
}
