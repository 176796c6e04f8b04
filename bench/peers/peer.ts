/** The bench's side of a peer: starts its process and talks to it. */
import { type ChildProcess, fork } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Input, Spec } from "../cases.js";

/** Peers on Node, by the name that `--peers` takes. */
export const PEERS: Readonly<Record<string, string>> = {
  tfjs: "@tensorflow/tfjs-backend-webgpu",
  jax: "@jax-js/jax",
};

export function isInstalled(benchFolder: string, peer: string): boolean {
  return existsSync(join(benchFolder, "node_modules", ...PEERS[peer].split("/"), "package.json"));
}

export class Peer {
  name = "";
  version = "";
  private readonly waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  private serial = 0;

  private constructor(private readonly child: ChildProcess) {
    child.on("message", (message: { id?: number; result?: unknown; error?: string }) => {
      const entry = message.id === undefined ? undefined : this.waiting.get(message.id);
      if (!entry) return;
      this.waiting.delete(message.id as number);
      if (message.error !== undefined) entry.reject(new Error(message.error));
      else entry.resolve(message.result);
    });
    child.on("exit", (code) => {
      for (const entry of this.waiting.values())
        entry.reject(new Error(`the peer's process ended (${code})`));
      this.waiting.clear();
    });
  }

  static async open(
    benchFolder: string,
    peer: string,
    adapterBundle: string,
    adapter: string,
    clock: string,
  ): Promise<Peer> {
    const child = fork(
      join(benchFolder, "peers", "child.mjs"),
      [join(process.env.HANDGRAD_BENCH_PEERS as string, `${peer}.mjs`), adapterBundle],
      {
        serialization: "advanced",
        env: { ...process.env, HANDGRAD_ADAPTER: adapter, HANDGRAD_BENCH_CLOCK: clock },
        execArgv: [],
        stdio: ["ignore", "ignore", "ignore", "ipc"],
      },
    );
    const result = new Peer(child);
    const { name, version } = (await result.ask("open")) as { name: string; version: string };
    result.name = name;
    result.version = version;
    return result;
  }

  /** The first result, or undefined where the peer cannot. */
  prepare(spec: Spec, inputs: readonly Input[]): Promise<Float32Array | undefined> {
    return this.ask("prepare", { spec, inputs }) as Promise<Float32Array | undefined>;
  }

  again(): Promise<Float32Array> {
    return this.ask("again") as Promise<Float32Array>;
  }

  time(count: number): Promise<number> {
    return this.ask("time", { count }) as Promise<number>;
  }

  close(): void {
    this.child.kill();
  }

  private ask(method: string, argument?: unknown): Promise<unknown> {
    const id = this.serial++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.child.send({ id, method, argument }, (error) => {
        if (error) reject(error);
      });
    });
  }
}
