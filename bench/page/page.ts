/** The bench in a browser: the same cases, checks and rounds, peers loaded into the page. */
import { openGpu } from "handgrad";
import { type Case, cases, type Input, type Spec } from "../cases.js";
import { type Contender, Handgrad, measureCase } from "../measure.js";
import { benchResult, type CaseResult, caseResult, cells, chart, columns } from "../report.js";
import { measureRoof } from "../roof.js";

/** What a module in peers/ exports. */
interface PeerModule {
  readonly name: string;
  readonly version: string;
  open(): Promise<void>;
  prepare(spec: Spec, inputs: readonly Input[]): PreparedPeer | undefined | Promise<PreparedPeer | undefined>;
}

interface PreparedPeer {
  run(): unknown;
  read(result: unknown): Promise<Float32Array>;
  drop(result: unknown): void;
  wait(): Promise<void>;
  free(): void;
}

class PagePeer implements Contender {
  private current?: PreparedPeer;

  constructor(private readonly peer: PeerModule) {}

  get name(): string {
    return this.peer.name;
  }

  get version(): string {
    return this.peer.version;
  }

  async prepare(spec: Spec, inputs: readonly Input[], _which: Case): Promise<Float32Array | undefined> {
    this.current?.free();
    this.current = await this.peer.prepare(spec, inputs);
    return this.current?.read(await this.current.run());
  }

  async again(): Promise<Float32Array> {
    const current = this.current as PreparedPeer;
    return current.read(await current.run());
  }

  async time(count: number): Promise<number> {
    const current = this.current as PreparedPeer;
    const start = performance.now();
    for (let i = 0; i < count; i++) {
      const result = current.run();
      current.drop(result instanceof Promise ? await result : result);
    }
    await current.wait();
    return performance.now() - start;
  }
}

const element = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const print = (line: string): void => {
  element("log").textContent += `${line}\n`;
};

async function loadPeers(): Promise<PagePeer[]> {
  const loaded: PagePeer[] = [];
  for (const box of document.querySelectorAll<HTMLInputElement>("input[name=peer]:checked")) {
    try {
      const peer = (await import(
        new URL(`../dist/bench/${box.value}.js`, document.baseURI).href
      )) as PeerModule;
      await peer.open();
      loaded.push(new PagePeer(peer));
    } catch (error) {
      print(`without ${box.value}: ${(error as Error).message}`);
    }
  }
  return loaded;
}

async function run(): Promise<unknown> {
  const filter = new RegExp(element<HTMLInputElement>("filter").value, "i");
  const quick = element<HTMLInputElement>("quick").checked;
  const gpu = await openGpu();
  try {
    const { vendor, architecture, description, kind } = gpu.info;
    print(`adapter: ${[vendor, architecture, description].filter(Boolean).join(", ")} (${kind})`);
    const { roof, again } = await measureRoof(gpu, { quick });
    print(`roof: ${roof.gflops.toFixed(1)} GFLOP/s, copy ${roof.copyGBs.toFixed(2)} GB/s`);
    const peers = await loadPeers();
    const names = peers.map(({ name }) => name);
    addRow("th", ["case", ...columns(names)]);
    const results: CaseResult[] = [];
    for (const which of cases) {
      if (!filter.test(which.name) && !filter.test(which.group)) continue;
      const effort = quick ? { rounds: 5, batchMilliseconds: 15 } : { rounds: 15, batchMilliseconds: 50 };
      const contenders = [new Handgrad(gpu), ...peers];
      const result = caseResult(
        which,
        await measureCase(which, contenders, { ...effort, roof: again }),
        roof,
      );
      results.push(result);
      show(result, names);
    }
    if (results.length === 0)
      throw new Error(`no case matches "${element<HTMLInputElement>("filter").value}"`);
    const all = {
      ...benchResult(gpu.info, roof, results, { clock: "wall", remembered: gpu.tuner.remembered }),
      browser: navigator.userAgent,
      features: gpu.info.features,
      peers: Object.fromEntries(peers.map(({ name, version }) => [name, version])),
    };
    offer("json", "bench.json", "application/json", JSON.stringify(all, null, 2));
    offer("html", "bench.html", "text/html", chart(all, names));
    for (const [group, mean] of Object.entries(all.geometricMean))
      print(`best peer's time over ours, geometric mean, ${group}: ${mean.toFixed(2)}×`);
    print(`done; failed: ${results.filter(({ ours }) => ours.ms === null).length} of ${results.length}`);
    return all;
  } finally {
    gpu.dispose();
  }
}

function addRow(tag: "th" | "td", texts: readonly string[]): HTMLTableRowElement {
  const line = element<HTMLTableElement>("table").insertRow();
  for (const text of texts) line.appendChild(document.createElement(tag)).textContent = text;
  return line;
}

/** One case's line, and under it what went wrong with a peer. */
function show(result: CaseResult, peers: readonly string[]): void {
  const texts = cells(result, peers);
  if (texts) addRow("td", [result.name, ...texts]);
  else addProblem(result.name, `FAILED: ${result.ours.problem}`, peers);
  for (const [peer, { problem }] of Object.entries(result.peers))
    if (problem) addProblem("", `${peer}: ${problem}`, peers);
}

function addProblem(name: string, problem: string, peers: readonly string[]): void {
  const cell = addRow("td", [name, problem]).cells[1];
  cell.colSpan = columns(peers).length;
  cell.className = "failed";
}

/** Shows a link that downloads a text. */
function offer(id: string, name: string, type: string, text: string): void {
  const link = element<HTMLAnchorElement>(id);
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.hidden = false;
}

element("start").addEventListener("click", () => {
  const button = element<HTMLButtonElement>("start");
  button.disabled = true;
  delete document.body.dataset.state;
  element("log").textContent = "";
  element("table").textContent = "";
  run()
    .catch((error) => print(`FAILED: ${(error as Error).message}`))
    .finally(() => {
      button.disabled = false;
      document.body.dataset.state = "done";
    });
});
