import { KedgeError } from "@kedge/domain";
import type { Job, JobSpec, Run, Task } from "@kedge/proto";
import type { Principal } from "@kedge/rpc";
import { currentTask } from "../runs/task-events.ts";
import type { Stores } from "../stores.ts";

/** The attempt that a task's token speaks for. */
export interface TaskJob {
  readonly run: Run;
  readonly job: Job;
  readonly spec: JobSpec;
  readonly task: Task;
}

/**
 * The job whose current attempt makes a call.
 *
 * @throws KedgeError PERMISSION_DENIED for anybody but a task that is its job's newest.
 */
export function taskJobOf(stores: Stores, { runId = "", taskId = "" }: Principal): TaskJob {
  const run = stores.runs.get(runId)?.value;
  for (const job of run?.jobs ?? []) {
    const task = currentTask(job);
    if (run !== undefined && job.spec !== undefined && task?.id === taskId) return { run, job, spec: job.spec, task };
  }
  throw new KedgeError("PERMISSION_DENIED", "only a running task may do this, with the token of its own attempt");
}
