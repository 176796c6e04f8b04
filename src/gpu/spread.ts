/** Orders for workgroups that take unlike times. */

/**
 * A step that visits `count` places, each once, so that any run of visits is spread evenly over all of them: place
 * (visit · step) mod count. Lavapipe gives each of its threads one run of neighboring workgroups and does not deal anew,
 * so where the longer ones lie together one thread waits for the other.
 * @returns coprime to count, near the golden section of it
 */
export function spread(count: number): number {
  let step = Math.max(1, Math.round(count * 0.618));
  while (commonDivisor(step, count) !== 1) step--;
  return step;
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}
