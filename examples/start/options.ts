// Options of the command line.
import { ValueError } from "handgrad";

/** @throws ValueError */
export function wholeNumber(name: string, text: string, least: number): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isSafeInteger(value) && value >= least) return value;
  throw new ValueError(`--${name} got "${text}", and a whole number of at least ${least} is taken`);
}
