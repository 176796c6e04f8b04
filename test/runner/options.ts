import { parseArgs } from "node:util";

export const hostNames = ["node", "chromium"] as const;
export type HostName = (typeof hostNames)[number];

export interface Options {
  filter: string[];
  hosts: HostName[];
  adapter?: string;
  verbose: boolean;
  /** Types, lint and build: part of a whole run, left out of a narrowed one. */
  checks: boolean;
}

export const help = `npm test -- [options]

Checks types, lint and build, then runs all suites on Node and in a headless Chromium.

  --filter TEXT    only the test files whose path contains TEXT (may be repeated); without the checks
  --host NAME      only "node" or only "chromium"; without the checks
  --adapter NAME   the adapter for Node: hardware, software, swiftshader, lavapipe or part of its name
  --verbose        show what the hosts print
  --help           this text

CHROME_PATH names the Chromium to take; else the system's, else the one in @sparticuz/chromium.`;

/** The options, or undefined where help is wanted. @throws Error on an unknown option or host */
export function parseOptions(args: string[]): Options | undefined {
  const { values } = parseArgs({
    args,
    options: {
      filter: { type: "string", multiple: true, default: [] },
      host: { type: "string" },
      adapter: { type: "string" },
      verbose: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const hosts = values.host === undefined ? [...hostNames] : hostNames.filter((name) => name === values.host);
  if (hosts.length === 0) throw new Error(`--host takes "node" or "chromium", not "${values.host}"`);
  const filter = values.filter ?? [];
  const checks = values.host === undefined && filter.length === 0;
  return { filter, hosts, adapter: values.adapter, verbose: values.verbose ?? false, checks };
}
