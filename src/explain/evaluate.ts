/** How good maps are: against a mask, and by what happens to the prediction. */
import { auroc } from "../metrics/ranking.js";

/**
 * The area under the ROC curve of a map against a mask, ties counting half: a map of one value scores 0.5.
 * @param map [h · w]
 * @param mask [h · w], 1 where the cause is, 0 elsewhere
 * @returns 0 to 1
 */
export function maskAuc(map: ArrayLike<number>, mask: ArrayLike<number>): number {
  return auroc(map, mask);
}
