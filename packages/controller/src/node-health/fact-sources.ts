import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import type { NodeTrial } from "@kedge/analysis";
import { isTaskEnded } from "@kedge/domain";
import {
  FailureClass,
  type Heartbeat,
  ReplicaState,
  type ReplicaStatus,
  type Run,
  TaskState,
  type Window,
} from "@kedge/proto";
import type { FactSubject } from "./fact-book.ts";

/** A fact and when it happened. */
export interface Fact {
  readonly subject: FactSubject;
  readonly atMs: number;
  readonly trial: NodeTrial;
}

const MINUTE_MS = 60_000;
/** A heartbeat vouches for no more time than this. */
const MOST_BETWEEN_MS = 10_000;
/** What one message of a node can say; one that says more lies. */
const MOST_FAILURES = 10;
const MOST_REQUESTS = 1_000_000;
/** Ends that say nothing about how the node works. One that is lost takes all its tasks with it: that counts as one. */
const UNTOLD: ReadonlySet<TaskState> = new Set([
  TaskState.WITHDRAWN,
  TaskState.CANCELLED,
  TaskState.PREEMPTED,
  TaskState.LOST,
]);

/** How a revision is called as a workload. */
export function revisionName(deployment: string, revision: number): string {
  return `${deployment} revision ${revision}`;
}

/** The tasks of a run that have ended, with their ids: each is a fact once. */
export function* taskFacts(run: Run): Iterable<Fact & { readonly taskId: string }> {
  for (const { spec, tasks } of run.jobs) {
    const workload = `${run.pipeline}/${spec?.name ?? ""}`;
    for (const task of tasks) {
      const failure = task.failure?.class;
      if (!isTaskEnded(task.state) || UNTOLD.has(task.state) || failure === FailureClass.LOST_AGENT) continue;
      const subject = { kind: "tasks", workload, nodeId: task.nodeId } as const;
      const trial = { exposure: 1, failures: Number(failure === FailureClass.INFRASTRUCTURE) };
      yield { subject, taskId: task.id, atMs: msOf(task.finishedAt), trial };
    }
  }
}

/** What a heartbeat says of the replicas that the node is to run: time passed, and failures since the one before. */
export function* replicaFacts(
  before: Heartbeat | undefined,
  heartbeat: Heartbeat,
  at: { readonly nowMs: number; readonly sinceMs: number },
): Iterable<Fact> {
  if (before?.bootId !== heartbeat.bootId) return;
  const known = new Map(before.replicas.map((replica) => [replica.replicaId, replica]));
  const exposure = Math.min(MOST_BETWEEN_MS, Math.max(0, at.nowMs - at.sinceMs)) / MINUTE_MS;
  for (const replica of heartbeat.replicas) {
    const last = known.get(replica.replicaId);
    if (last === undefined || replica.state === ReplicaState.STOPPING) continue;
    const workload = revisionName(replica.deployment, replica.revision);
    const failures = Math.min(MOST_FAILURES, failuresBetween(last, replica));
    const subject = { kind: "replicas", workload, nodeId: heartbeat.nodeId } as const;
    yield { subject, atMs: at.nowMs, trial: { exposure, failures } };
  }
}

/** A failed start or fetch is no restart, but enters the state anew. */
function failuresBetween(last: ReplicaStatus, replica: ReplicaStatus): number {
  const restarts = Math.max(0, replica.restarts - last.restarts);
  const isAnew = last.state !== ReplicaState.FAILED || msOf(replica.since) !== msOf(last.since);
  return Math.max(restarts, Number(replica.state === ReplicaState.FAILED && isAnew));
}

/** What a window says of requests. */
export function* requestFacts({ nodeId, deployment, revisions }: Window, nowMs: number): Iterable<Fact> {
  for (const { revision, requests, errors } of revisions) {
    const exposure = Math.min(Number(requests), MOST_REQUESTS);
    if (exposure === 0) continue;
    const subject = { kind: "requests", workload: revisionName(deployment, revision), nodeId } as const;
    yield { subject, atMs: nowMs, trial: { exposure, failures: Math.min(exposure, Number(errors)) } };
  }
}

function msOf(at: Timestamp | undefined): number {
  return at === undefined ? 0 : timestampMs(at);
}
