/** What solvers of rows of weights take and give, wherever they run. */
import type { Tensor } from "../tensor.js";

export interface RowsCall {
  /** Neighboring weights that go together. */
  readonly group: number;
  /** Most groups that a row may lose. */
  readonly steps: number;
  /** Rows that share an inverse. */
  readonly outputs: number;
  /** Rows whose costs are compared with each other. */
  readonly rowsASample: number;
  /** Groups that each sample's rows lose together; all rows lose `steps` with a pattern. */
  readonly removed: number;
  readonly pattern?: { readonly keep: number; readonly of: number };
}

/** [rows, d]: the weights, and 1 for those that are left. */
export interface GreedyRows {
  readonly w: Tensor;
  readonly kept: Tensor;
}
