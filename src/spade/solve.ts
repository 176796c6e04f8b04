/** From Hessians to sparse networks. */
import { ValueError } from "../gpu/errors.js";
import type { Calibration } from "./calibrate.js";
import type { SolveOptions } from "./options.js";
import type { Trace } from "./trace.js";

/**
 * The traces of a calibration's samples, in their order; may be called many times with other solvers and ratios.
 * @throws ValueError for a ratio outside 0 to 1 or a layer that was not calibrated
 */
export async function solve(calibration: Calibration, options: SolveOptions): Promise<Trace[]> {
  throw new ValueError(`solve: not there yet ${[calibration, options].length}`);
}

/**
 * ‖(W̃ - W) X‖² / ‖W X‖² by layer name of a trace on another calibration, say of held-out augmentations.
 * @param index the sample of the calibration; default 0
 */
export async function reconstructionErrors(
  calibration: Calibration,
  trace: Trace,
  index = 0,
): Promise<Record<string, number>> {
  throw new ValueError(`reconstructionErrors: not there yet ${[calibration, trace, index].length}`);
}
