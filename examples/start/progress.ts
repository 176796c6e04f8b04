// A progress bar a job; where the output is no terminal, a line at the start and one at the end.
import { type Bar, Presets, SingleBar } from "cli-progress";

export interface Progress {
  update(share: number, note: string): void;
  stop(): void;
}

export function startProgress(title: string): Progress {
  if (!process.stderr.isTTY) {
    console.log(`${title} …`);
    return { update: () => {}, stop: () => {} };
  }
  const format = `${title.padEnd(28)} {bar} {percentage} %  {eta_formatted} left  {note}`;
  const bar: Bar & { etaBuffer?: number } = new SingleBar(
    { format, hideCursor: true, etaBuffer: 50 },
    Presets.shades_classic,
  );
  bar.start(1000, 0, { note: "" });
  return {
    update: (share, note) => bar.update(Math.round(1000 * share), { note }),
    stop: () => bar.stop(),
  };
}
