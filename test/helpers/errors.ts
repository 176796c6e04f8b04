type ErrorKind = new (message: string) => Error;

/**
 * Throws unless `run` throws, or rejects with, an error of this very kind whose message matches.
 *
 * @param run a function, synchronous or not
 */
export async function assertRejects(run: () => unknown, kind: ErrorKind, message: RegExp): Promise<void> {
  let caught: unknown;
  try {
    await run();
  } catch (error) {
    caught = error;
  }
  if (caught === undefined) throw new Error(`nothing was thrown; expected ${kind.name} matching ${message}`);
  const isExpected = caught instanceof kind && message.test(caught.message);
  if (!isExpected)
    throw new Error(`thrown: ${caught}; expected ${kind.name} matching ${message}`, { cause: caught });
}
