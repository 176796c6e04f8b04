/** What a page downloads: the published files as a bundler joins them, minified by esbuild, gzip level 9. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

export interface BundleSize {
  readonly library: string;
  readonly imports: string;
  readonly minified: number;
  readonly gzip: number;
  /** The same without the texts of the kernels; of handgrad only. */
  readonly gzipWithoutWgsl?: number;
}

interface Page {
  readonly library: string;
  readonly imports: string;
  readonly source: string;
  readonly folder: string;
}

const BENCH = "bench";

const mlp = "openGpu, tensor, matmul, relu, reluGrad, softmaxCrossEntropy, sgd";
const ours = ["*", "openGpu", "openGpu, tensor, matmul", mlp, "openGpu, tensor, conv2d"].map(
  (imports): Page => ({
    library: "handgrad",
    imports,
    source: `export ${imports === "*" ? imports : `{ ${imports} }`} from "./dist/browser.js"`,
    folder: ".",
  }),
);

const peers: readonly (Page & { readonly package: string })[] = [
  {
    library: "jax-js",
    package: "@jax-js/jax",
    imports: "*",
    source: 'export * from "@jax-js/jax"',
    folder: BENCH,
  },
  {
    library: "tfjs",
    package: "@tensorflow/tfjs-backend-webgpu",
    imports: "* of core and backend-webgpu",
    source: 'export * from "@tensorflow/tfjs-core"; export * from "@tensorflow/tfjs-backend-webgpu"',
    folder: BENCH,
  },
];

/** Builds dist and measures it, and the peers where they are installed. */
export async function bundleSizes(): Promise<BundleSize[]> {
  await promisify(execFile)(process.execPath, ["build.mjs"]);
  const installed = peers.filter((peer) => existsSync(join(BENCH, "node_modules", peer.package)));
  return Promise.all([...ours, ...installed].map(measure));
}

async function measure({ library, imports, source, folder }: Page): Promise<BundleSize> {
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir: join(process.cwd(), folder) },
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    // Parts that a library loads on demand become files of their own.
    splitting: true,
    outdir: "out",
    write: false,
    legalComments: "none",
    logLevel: "error",
  });
  // A page with WebGPU never asks jax-js for its WebGL backend.
  const files = outputFiles.filter(({ path }) => !/webgl/.test(basename(path))).map(({ text }) => text);
  const total = (sizeOf: (text: string) => number): number =>
    files.reduce((sum, text) => sum + sizeOf(text), 0);
  return {
    library,
    imports,
    minified: total((text) => Buffer.byteLength(text)),
    gzip: total(gzipped),
    ...(library === "handgrad" && { gzipWithoutWgsl: total((text) => gzipped(withoutKernels(text))) }),
  };
}

const gzipped = (text: string): number => gzipSync(text, { level: 9 }).length;

/** esbuild writes texts of many lines between backquotes, which WGSL does not have. */
const withoutKernels = (text: string): string => text.replace(/`[^`]*@compute[^`]*`/g, '""');

/** A line of the printed table. */
export function sizeLine({ library, imports, minified, gzip, gzipWithoutWgsl }: BundleSize): string {
  const kilobytes = (bytes: number): string => `${(bytes / 1000).toFixed(1)} KB`;
  const without = gzipWithoutWgsl === undefined ? "" : `, without WGSL ${kilobytes(gzipWithoutWgsl)}`;
  return `${kilobytes(gzip).padStart(9)} of ${kilobytes(minified)}${without}: ${library} { ${imports} }`;
}
