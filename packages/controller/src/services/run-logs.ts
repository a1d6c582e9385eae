import { type Bus, readLogs } from "@kedge/bus";
import { isRunEnded } from "@kedge/domain";
import { type LogChunk, RunState, type TaskRefFull } from "@kedge/proto";
import type { Stores } from "../stores.ts";

/** Whose logs, and how long. */
export interface RunLogsOptions {
  readonly bus: Bus;
  readonly stores: Stores;
  readonly runId: string;
  /** Empty: all jobs. */
  readonly job: string;
  /** Go on until the run has ended. */
  readonly follow: boolean;
}

/**
 * The logs of a run, oldest first. Following ends with the run: what is stored by then is read once more, so that the
 * last lines are never missed. Chunks count only from nodes that held the task they name.
 */
export async function* streamRunLogs(
  options: RunLogsOptions,
  signal: AbortSignal,
): AsyncGenerator<{ job: string; chunk: LogChunk }> {
  const { bus, stores, runId, job } = options;
  const accept = (ref: TaskRefFull): boolean => isTaskOf(stores, ref);
  const filter = { runId, accept, ...(job === "" ? {} : { job }) };
  const sent = new Map<string, bigint>();
  const isNew = (chunk: LogChunk): boolean => {
    const task = chunk.ref?.taskId ?? "";
    if ((sent.get(task) ?? 0n) >= chunk.sequence) return false;
    sent.set(task, chunk.sequence);
    return true;
  };
  const ended = new AbortController();
  const check = (key: string): void => {
    if (key === runId && isRunEnded(stores.runs.get(runId)?.value.state ?? RunState.CANCELLED)) ended.abort();
  };
  const unsubscribe = stores.runs.onChange(check);
  check(runId);
  try {
    if (options.follow && !ended.signal.aborted) {
      const until = AbortSignal.any([signal, ended.signal]);
      for await (const chunk of readLogs(bus, { ...filter, follow: true }, until)) {
        if (isNew(chunk)) yield { job: chunk.ref?.job ?? "", chunk };
      }
    }
    if (signal.aborted) return;
    for await (const chunk of readLogs(bus, { ...filter, follow: false }, signal)) {
      if (isNew(chunk)) yield { job: chunk.ref?.job ?? "", chunk };
    }
  } finally {
    unsubscribe();
  }
}

function isTaskOf(stores: Stores, ref: TaskRefFull): boolean {
  const job = stores.runs.get(ref.runId)?.value.jobs.find((candidate) => candidate.spec?.name === ref.job);
  return job?.tasks.some((task) => task.id === ref.taskId && task.nodeId === ref.nodeId) ?? false;
}
