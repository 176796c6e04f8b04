// `npm test`. The runner is TypeScript, so it is bundled first, by the same build script that it tests.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import * as builder from "../build.mjs";

const bundle = await builder.bundleForNode(join(builder.root, "test", "runner", "main.ts"), "test-runner");
const { main } = await import(pathToFileURL(bundle).href);
await rm(bundle, { force: true });
process.exit(await main(process.argv.slice(2), builder));
