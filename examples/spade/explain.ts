import type { Gpu } from "handgrad";
export const EXPLAIN_HELP = "";
export const EXPLAIN_OPTIONS = {} as const;
export const readExplain = (_values: unknown): object => ({});
export async function runExplain(_gpu: Gpu, _command: object): Promise<void> {}
