/**
 * Learning rates by step: `step` counts the updates done before, so the first update takes that of step 0.
 * The formulas are those of PyTorch's StepLR, CosineAnnealingLR, LinearLR and OneCycleLR.
 */

/** The whole learning rate times gamma for each `stepSize` steps done. */
export function stepSchedule(
  step: number,
  { learningRate, stepSize, gamma = 0.1 }: { learningRate: number; stepSize: number; gamma?: number },
): number {
  return learningRate * gamma ** Math.floor(step / stepSize);
}

/** Half a cosine from `from` (share 0) to `to` (share 1), held at the ends. */
function halfCosine(from: number, to: number, share: number): number {
  return to + ((from - to) * (1 + Math.cos(Math.PI * Math.min(Math.max(share, 0), 1)))) / 2;
}

/** From the whole learning rate at step 0 to `minimum` at `steps`, where it stays. */
export function cosineSchedule(
  step: number,
  { learningRate, steps, minimum = 0 }: { learningRate: number; steps: number; minimum?: number },
): number {
  return halfCosine(learningRate, minimum, step / steps);
}

/** Linear from `startFactor` of the learning rate at step 0 to all of it at `warmupSteps`, where it stays. */
export function linearWarmup(
  step: number,
  {
    learningRate,
    warmupSteps,
    startFactor = 1 / 3,
  }: { learningRate: number; warmupSteps: number; startFactor?: number },
): number {
  return learningRate * (startFactor + (1 - startFactor) * Math.min(step / warmupSteps, 1));
}

export interface OneCycleOptions {
  maximum: number;
  /** Length of the cycle in updates; the last is step `steps` - 1. */
  steps: number;
  /** Share of the steps in which the rate rises. */
  riseShare?: number;
  /** It begins at maximum / startDivisor. */
  startDivisor?: number;
  /** It ends at maximum / startDivisor / endDivisor. */
  endDivisor?: number;
}

/** Up to the maximum by half a cosine, then down to almost nothing by another (Smith 2017). */
export function oneCycle(
  step: number,
  { maximum, steps, riseShare = 0.3, startDivisor = 25, endDivisor = 1e4 }: OneCycleOptions,
): number {
  const start = maximum / startDivisor;
  const end = start / endDivisor;
  const top = riseShare * steps - 1;
  const last = steps - 1;
  return step <= top
    ? halfCosine(start, maximum, step / top)
    : halfCosine(maximum, end, (step - top) / (last - top));
}
