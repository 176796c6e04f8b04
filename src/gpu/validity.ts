/**
 * Which storages hold what the recorded ops should have made. After a command failed, what it was to write is missing,
 * and so is all that was to be computed from it: reading that must throw, and never give what happens to be in the
 * buffer. Writing a storage anew makes it good again. What was to be updated in place keeps its former values: the
 * step was not taken, and weights survive an op that failed.
 */
import type { Command, Dispatch, PreparedDispatch } from "./commands.js";
import type { HandgradError } from "./errors.js";

/** A list that was handed to the device. */
interface Handed {
  readonly commands: readonly Command[];
  /** Whether the device has said if it takes the list. */
  answered: boolean;
}

type Runnable = Dispatch | PreparedDispatch;
type Step = Command | PreparedDispatch;

export class Validity {
  /** Lists since the oldest that the device has not answered for. */
  private recent: Handed[] = [];
  /** False as long as nothing has failed: then there is nothing to follow. */
  private anyFailure = false;

  /** Notes a list; the function that it returns is to be told the device's answer, an error where it refused. */
  hand(commands: readonly Command[]): (refusal: HandgradError | undefined) => void {
    const handed = { commands, answered: false };
    this.recent.push(handed);
    return (refusal) => {
      handed.answered = true;
      if (refusal) this.refuse(handed, refusal);
      const open = this.recent.findIndex(({ answered }) => !answered);
      this.recent = open < 0 ? [] : this.recent.slice(open);
    };
  }

  /** Why a dispatch cannot run, if so; what it was to write then has the same problem. */
  problemOf(dispatch: Runnable): HandgradError | undefined {
    const { failure } = dispatch.pipeline;
    if (failure) this.anyFailure = true;
    return this.anyFailure ? spreadDispatch(dispatch, false) : undefined;
  }

  /** Hands problems on from what a transfer or an upload reads to what it writes. */
  follow(command: Exclude<Step, Runnable>): void {
    if (this.anyFailure) spread(command, false);
  }

  /** Everything that a refused list was to write is missing, and what the lists behind it made of that. */
  private refuse(refused: Handed, error: HandgradError): void {
    this.anyFailure = true;
    for (const command of refused.commands) mark(command, error);
    for (const { commands } of this.recent.slice(this.recent.indexOf(refused) + 1))
      for (const command of commands) spread(command, true);
  }
}

function isDispatch(step: Step): step is Runnable {
  return !("kind" in step) || step.kind === "dispatch";
}

/** @param ran whether the step ran on what was missing, since the failure was not known yet */
function spread(step: Step, ran: boolean): void {
  if (isDispatch(step)) spreadDispatch(step, ran);
  else if (step.kind === "replay") for (const inner of step.commands) spread(inner, ran);
  else if (step.kind === "copy") {
    const { source, target, joins = false } = step;
    target.problem = source.problem ?? (joins ? target.problem : undefined);
  } else if (step.kind === "read") step.waiter.error ??= step.source.problem;
  else step.storage.problem = undefined;
}

function spreadDispatch({ pipeline, bound }: Runnable, ran: boolean): HandgradError | undefined {
  const bad = bound.find(({ reads, storage }) => reads && storage.problem);
  const problem = pipeline.failure ?? bad?.storage.problem;
  for (const { reads, writes, storage } of bound) if (writes && (ran || !reads)) storage.problem = problem;
  return problem;
}

/** A refused step was not taken: gives what it was to write anew a problem. An upload is not part of the submit. */
function mark(step: Step, error: HandgradError): void {
  if (isDispatch(step)) {
    for (const { reads, writes, storage } of step.bound) if (writes && !reads) storage.problem = error;
  } else if (step.kind === "replay") for (const inner of step.commands) mark(inner, error);
  else if (step.kind === "copy") step.target.problem = error;
  else if (step.kind === "clear") step.storage.problem = error;
  else if (step.kind === "upload") step.storage.problem = undefined;
}
