import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";
import type { Builder } from "./builder.js";
import { bundleSuites, testFiles } from "./bundle.js";
import { findChromium } from "./chromium.js";
import type { SuiteEvent, Totals } from "./events.js";
import { HostLog } from "./host_log.js";
import type { Options } from "./options.js";
import { serve } from "./server.js";
import { stackMapper } from "./stack_map.js";

/** Runs the suites in a page of a headless Chromium. */
export async function runInChromium(builder: Builder, { filter, verbose }: Options): Promise<Totals> {
  const { root } = builder;
  const files = testFiles(root, "chromium", filter);
  if (files.length === 0) return { passed: 0, failed: 0 }; // the filter names files for Node only
  const bundle = join(root, "dist", "test", `chromium-${process.pid}.js`);
  await bundleSuites(builder, "chromium", files, bundle);
  const log = new HostLog("chromium", stackMapper(await readFile(`${bundle}.map`, "utf8")));
  try {
    await withPage(root, bundle, async (page) => {
      await page.exposeFunction("handgradReport", (event: SuiteEvent) => log.handle(event));
      page.on("pageerror", (error) =>
        log.fail(`uncaught in the page: ${error.message}\n${error.stack ?? ""}`),
      );
      page.on("crash", () => log.fail("the page crashed"));
      page.on("console", (message) => {
        if (verbose) console.log(message.text());
      });
      await page.goto("/");
      await log.done;
    });
  } catch (error) {
    log.fail((error as Error).message);
  } finally {
    for (const file of [bundle, `${bundle}.map`]) await rm(file, { force: true });
  }
  return log.totals;
}

type Page = Awaited<ReturnType<Awaited<ReturnType<typeof chromium.launch>>["newPage"]>>;

async function withPage(root: string, bundle: string, use: (page: Page) => Promise<void>): Promise<void> {
  const { executablePath, args, env } = findChromium();
  const server = await serve(root, bundle);
  const browser = await chromium.launch({ executablePath, args, env, headless: true });
  try {
    await use(await browser.newPage({ baseURL: server.url }));
  } finally {
    await browser.close();
    await server.close();
  }
}
