/**
 * Every error that handgrad throws on purpose is a `HandgradError`. Messages are lower-case sentences
 * that name the argument, say what came and what is taken, and end with what to do about it.
 */
export class HandgradError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A shape, rank or dtype that an op does not take, or an `out` that aliases an input. */
export class ShapeError extends HandgradError {}

/** A number that is out of range, or not finite where it must be (NaN or infinity in uploaded data). */
export class ValueError extends HandgradError {}

/** More than the adapter allows: a binding, a buffer or a workgroup that is too large. */
export class LimitError extends HandgradError {}

/** The device could not allocate a buffer. */
export class OutOfMemoryError extends HandgradError {}

/** The device was lost; everything pending is rejected with this error. */
export class DeviceLostError extends HandgradError {}

/** No adapter could be found; the message lists what was tried. */
export class NoAdapterError extends HandgradError {}

/** A `scope` or `program` body did what it may not do, or a program was run in a state in which it cannot. */
export class ProgramError extends HandgradError {}

/** A file or a byte stream is not what its reader takes: truncated, oversized or of another kind. */
export class FormatError extends HandgradError {}

/** A tensor, program or gpu was used after `dispose()`. */
export class DisposedError extends HandgradError {}

/** A kernel did not compile, or the device refused a command that a kernel recorded. */
export class KernelError extends HandgradError {}
