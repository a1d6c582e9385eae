import type { MessageInitShape } from "@bufbuild/protobuf";
import { isRunEnded, KedgeError } from "@kedge/domain";
import { type Clock, newId, systemClock } from "@kedge/kernel";
import type { Run, SubmitRunRequestSchema } from "@kedge/proto";
import type { KedgeClient } from "./client.ts";
import { resumed, retried } from "./resume.ts";

/** Settings of a wait for a run. */
export interface RunWaitOptions {
  readonly signal?: AbortSignal;
  /** Called with the run as it is at first, and after every change. */
  readonly onChange?: (run: Run) => void;
  readonly clock?: Clock;
}

/** Waits until a run has ended, however it ends, and answers its last state. Survives restarts of the controller. */
export async function waitForRun(client: KedgeClient, runId: string, options: RunWaitOptions = {}): Promise<Run> {
  const { signal, clock = systemClock } = options;
  const open = () => client.runs.watchRun({ runId }, signal === undefined ? {} : { signal });
  for await (const { run } of resumed(open, { clock, signal })) {
    if (run === undefined) continue;
    options.onChange?.(run);
    if (isRunEnded(run.state)) return run;
  }
  throw new KedgeError("INTERNAL", `the watch of run ${runId} ended before the run did`);
}

/**
 * Submits a run, once however often the connection breaks meanwhile, and waits for its end. A missing idempotency key is
 * filled in; with one of its own a program that was started anew finds its run again.
 *
 * @throws KedgeError INVALID_PIPELINE and alike, and CONTROLLER_UNAVAILABLE when it stays away before the run is there.
 */
export async function submitAndWait(
  client: KedgeClient,
  request: MessageInitShape<typeof SubmitRunRequestSchema>,
  options: RunWaitOptions = {},
): Promise<Run> {
  const { signal, clock = systemClock } = options;
  const idempotencyKey = request.idempotencyKey || newId(clock);
  const submit = () => client.runs.submitRun({ ...request, idempotencyKey }, signal === undefined ? {} : { signal });
  const { run } = await retried(submit, { clock, signal });
  if (run === undefined) throw new KedgeError("INTERNAL", "the controller answered without a run");
  return waitForRun(client, run.id, options);
}
