import { stripVTControlCharacters } from "node:util";
import type { SuiteEvent, SuiteResult, Totals } from "./events.js";

/** Without any event for so long a host counts as hung: more than the longest time that one test may take. */
const silenceMs = 240_000;

/** Prints what a host reports, adds it up, and ends when the host does. */
export class HostLog {
  readonly totals: Totals = { passed: 0, failed: 0 };
  private current = "loading";
  private timer: ReturnType<typeof setTimeout> | undefined;
  private settle: () => void = () => {};
  private over = false;
  /** Resolves when the host has reported its end, or `fail` was called. */
  readonly done = new Promise<void>((resolve) => {
    this.settle = resolve;
  });

  constructor(
    private readonly host: string,
    private readonly mapStack: (text: string) => string = (text) => text,
  ) {
    this.expectEvent();
  }

  handle(event: SuiteEvent): void {
    if (this.over) return;
    this.expectEvent();
    if (event.type === "end") this.finish();
    else if (event.type === "test") this.current = `${event.file}, ${event.suite} › ${event.test}`;
    else this.add(event);
  }

  private add(result: SuiteResult): void {
    const { suite, passed, failed, milliseconds, failures } = result;
    this.totals.passed += passed;
    this.totals.failed += failed;
    for (const failure of failures) this.print(`FAILED ${indent(this.readable(failure))}`);
    const verdict = failed > 0 ? `${passed} passed, ${failed} FAILED` : `${passed} passed`;
    this.print(`${suite}: ${verdict} (${(milliseconds / 1000).toFixed(1)} s)`);
  }

  /** The host ended early or could not be started: one failure. */
  fail(problem: string): void {
    if (this.over) return;
    this.totals.failed++;
    this.print(`FAILED ${indent(this.readable(problem))}\n          while: ${this.current}`);
    this.finish();
  }

  /** Without colors, with places in the sources, and without the frames of the machinery. */
  private readable(failure: string): string {
    const lines = this.mapStack(stripVTControlCharacters(failure)).split("\n");
    return lines
      .filter((line) => !/^\s+at .*(node_modules|test\/runner|suites\.ts|node:internal)/.test(line))
      .join("\n");
  }

  private finish(): void {
    this.over = true;
    clearTimeout(this.timer);
    this.settle();
  }

  private expectEvent(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fail(`nothing happened for ${silenceMs / 1000} s`), silenceMs);
  }

  private print(text: string): void {
    console.log(`${this.host.padEnd(9)} ${text}`);
  }
}

function indent(text: string): string {
  return text.replaceAll("\n", "\n          ");
}
