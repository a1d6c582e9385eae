import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type Job,
  type PlacementExplanation,
  PlacementExplanationSchema,
  type QueueEntry,
  QueueEntrySchema,
  type Run,
} from "@kedge/proto";
import type { StillWaiting } from "@kedge/scheduler";
import { heldBackText } from "./held-back.ts";
import type { Scheduling } from "./scheduling.ts";

/** A waiting job as the API shows it; undefined when its run is gone by now. */
export function queueEntry(
  waiting: StillWaiting,
  run: Run | undefined,
  scheduling: Scheduling,
): QueueEntry | undefined {
  const { job, position, value, reserved } = waiting;
  const [runId = "", name = ""] = job.name.split("/");
  const stored = run?.jobs.find(({ spec }) => spec?.name === name);
  if (run === undefined || stored === undefined) return undefined;
  return create(QueueEntrySchema, {
    runId,
    job: name,
    pipeline: run.pipeline,
    team: job.team,
    priority: job.priority,
    position,
    value,
    waitingSince: timestampFromMs(job.waitingSinceMs),
    ...(stored.spec === undefined ? {} : { pending: withHeldBack(scheduling.reasonFor(run, stored.spec), waiting) }),
    ...(reserved === undefined ? {} : { reservedNodeId: reserved.nodeId, reservedAt: timestampFromMs(reserved.atMs) }),
  });
}

/** An explanation with what keeps the job waiting besides room, in a copy. */
export function withHeldBack(
  explanation: PlacementExplanation,
  waiting: StillWaiting | undefined,
): PlacementExplanation {
  if (waiting?.heldBack === undefined) return explanation;
  const full = clone(PlacementExplanationSchema, explanation);
  full.heldBack = waiting.heldBack;
  full.summary = heldBackText(waiting.heldBack);
  return full;
}

/** Why a pending job waits, for people: what stands in the document came first, this is as of now. */
export function currentReason(job: Job, explanation: PlacementExplanation): string {
  const known = job.reason.split("; ")[0] ?? "";
  const isHistory = job.tasks.length > 0 && known !== "" && known !== job.pending?.summary;
  return isHistory ? `${known}; ${explanation.summary}` : explanation.summary;
}
