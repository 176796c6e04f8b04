// Builds the bench page into dist/bench and serves the repository's folder on 127.0.0.1, so that browsers on this
// machine can open bench/index.html; any other static server does as well once it is built.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { bundleOptions } from "../../build.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const types = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
  ".json": "application/json",
};

export async function buildPage() {
  const outdir = join(root, "dist", "bench");
  await build({ ...bundleOptions("browser"), entryPoints: [join(root, "bench", "page", "page.ts")], outdir });
  const missing = [];
  for (const peer of ["tfjs", "jax", "ort"]) {
    const options = {
      bundle: true,
      format: "esm",
      platform: "browser",
      mainFields: ["module", "main"],
      logLevel: "silent",
    };
    await build({ ...options, entryPoints: [join(root, "bench", "peers", `${peer}.mjs`)], outdir }).catch(
      () => missing.push(peer),
    );
  }
  return missing;
}

export async function servePage(port = Number(process.env.PORT ?? 8787)) {
  const missing = await buildPage();
  if (missing.length > 0)
    console.log(`without ${missing.join(", ")}: npm install --prefix bench brings the peers`);
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? "/", "http://x").pathname));
    const file = join(root, path === "/" ? "bench/index.html" : path);
    const found = file.startsWith(root) && (await stat(file).catch(() => undefined));
    if (!found?.isFile()) {
      response.writeHead(404).end("not found");
      return;
    }
    response.writeHead(200, { "content-type": types[extname(file)] ?? "application/octet-stream" });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  console.log(`http://127.0.0.1:${server.address().port}/bench/index.html (Ctrl-C ends it)`);
  return server;
}
