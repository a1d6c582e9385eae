import { create } from "@bufbuild/protobuf";
import type { Clock, Logger } from "@kedge/kernel";
import { FailureClass, type TaskFinished, TaskFinishedSchema, TaskState } from "@kedge/proto";
import type { StepRuntimes } from "../steps/step-context.ts";
import type { TaskBus } from "./task-executor.ts";
import type { TaskRecord } from "./task-record.ts";
import { makeWorkspace } from "./workspace.ts";

const RETRY_MS = 500;

/** What an interrupted claim is settled with. */
export interface ClaimSettlement {
  readonly bus: TaskBus;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly runtimes: StepRuntimes;
  /** Whether the node may still run tasks. */
  readonly alive: () => boolean;
}

/**
 * Settles a task whose agent was interrupted while it claimed. `adopt`: the task is this node's and its first step has
 * either not started or can be adopted. `unknown`: somebody claimed or withdrew it, and nothing of it runs here; it must
 * not be started. `gone`: the node may no longer run tasks.
 */
export async function isAdoptable(
  record: TaskRecord,
  { bus, clock, logger, runtimes, alive }: ClaimSettlement,
): Promise<"adopt" | "unknown" | "gone"> {
  if (record.progress.phase !== "claiming") return "adopt";
  // A workload is started only after a claim that was stored.
  for (const runtime of [runtimes.process, runtimes.docker]) {
    const found = await runtime?.list({ "kedge.task": record.ref.taskId }).catch(() => []); // No engine: none in it.
    if (found !== undefined && found.length > 0) return "adopt";
  }
  while (alive()) {
    try {
      const claim = await bus.claim(record.ref, record.progress.bootId);
      if (claim === "lost") return "unknown";
      makeWorkspace(record.workspace);
      return "adopt";
    } catch (error) {
      logger.debug({ err: error, taskId: record.ref.taskId }, "claim failed again");
      await clock.sleep(RETRY_MS);
    }
  }
  return "gone";
}

/** The report of a task that was interrupted at a point where nobody can tell whether it began. */
export function endedByInterruption(): TaskFinished {
  return create(TaskFinishedSchema, {
    state: TaskState.FAILED,
    failure: {
      class: FailureClass.INFRASTRUCTURE,
      message: "the agent was interrupted while it claimed the task; nothing was run",
    },
  });
}
