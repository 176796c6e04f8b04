import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

const page = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>handgrad</title><link rel="icon" href="data:,"></head>
<body><script type="module" src="/suites.js"></script></body></html>`;

/** Folders of the project that a page may read. */
const served = ["data", "weights"];

const types: Record<string, string> = {
  ".js": "text/javascript",
  ".json": "application/json",
  ".png": "image/png",
  "": "application/octet-stream",
};

/** Serves the page, the bundle as /suites.js, and the project's data, on a free port of 127.0.0.1. */
export async function serve(root: string, bundle: string): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://127.0.0.1").pathname);
    if (path === "/") response.writeHead(200, { "content-type": "text/html" }).end(page);
    else void sendFile(response, fileOf(root, bundle, path));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

function fileOf(root: string, bundle: string, path: string): string | undefined {
  if (path === "/suites.js") return bundle;
  const clean = normalize(path).slice(1);
  return served.some((folder) => clean.startsWith(`${folder}/`)) ? join(root, clean) : undefined;
}

async function sendFile(response: ServerResponse, file: string | undefined): Promise<void> {
  const isFile = file && (await stat(file).catch(() => undefined))?.isFile();
  if (!isFile) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { "content-type": types[extname(file)] ?? types[""] });
  createReadStream(file).pipe(response);
}
