import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { type Run, RunState } from "@kedge/proto";

/**
 * The state that a run begins in, a retried one too: blocked while nobody let in what comes from outside, else queued if
 * it has a concurrency group, which lets it begin when it is its turn.
 */
export function beginningState(run: Run): RunState {
  if (run.source?.fork === true && !run.source.trustedSender && !isLetIn(run)) return RunState.BLOCKED;
  return run.concurrency === undefined ? RunState.PENDING : RunState.QUEUED;
}

/** Tells whether a person let just this commit begin. What the commit says of itself counts for nothing. */
export function isLetIn({ source, decision }: Run): boolean {
  const commit = source?.commit ?? "";
  return decision?.approved === true && commit !== "" && decision.commit === commit;
}

/** Puts a run into the state it begins in, and says what it waits for, in place. */
export function enterBeginning(run: Run): void {
  run.state = beginningState(run);
  run.reason = beginningReason(run);
}

/** Lets a queued run begin, in place. */
export function releaseRun(run: Run, at: Timestamp): void {
  run.state = RunState.PENDING;
  run.reason = "";
  run.releasedAt = at;
}

function beginningReason(run: Run): string {
  if (run.state === RunState.BLOCKED) return "it comes from a fork: a person has to let it begin";
  return run.state === RunState.QUEUED ? `waits for its turn among the runs of ${run.concurrency?.group}` : "";
}
