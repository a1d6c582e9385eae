import { isJobEnded, isTaskEnded } from "@kedge/domain";
import { type Job, type JobSpec, JobState, type Run, type Task, TaskState } from "@kedge/proto";
import { currentTask } from "../runs/task-events.ts";
import { jobName, nextAttempt } from "./job-demand.ts";

/** A job that waits for room, or holds some, under the id of its attempt. */
export interface Followed {
  readonly key: string;
  readonly name: string;
  readonly job: Job;
  readonly spec: JobSpec;
  /** The attempt that holds room; absent while the job waits. */
  readonly task?: Task;
  /** What of it counts for others; the same text, nothing to do. */
  readonly signature: string;
}

/** What a run's new document changes for the scheduler. */
export interface Changes {
  readonly gone: readonly Followed[];
  readonly changed: readonly Followed[];
}

/** Which attempts of all runs wait or hold room, as their documents say; to tell what a new document changes. */
export class FollowedRuns {
  readonly #byRun = new Map<string, Map<string, Followed>>();

  /** Takes a run's document over; undefined: the run is gone. */
  update(runId: string, run: Run | undefined): Changes {
    const before = this.#byRun.get(runId);
    const after = run === undefined ? [] : followedJobs(run);
    if (after.length > 0) this.#byRun.set(runId, new Map(after.map((followed) => [followed.key, followed])));
    else this.#byRun.delete(runId);
    const keys = new Set(after.map(({ key }) => key));
    return {
      gone: [...(before?.values() ?? [])].filter(({ key }) => !keys.has(key)),
      changed: after.filter(({ key, signature }) => before?.get(key)?.signature !== signature),
    };
  }

  /** Makes the next document look new in this attempt. */
  forget(runId: string, key: string): void {
    this.#byRun.get(runId)?.delete(key);
  }

  waits(runId: string, key: string): boolean {
    const followed = this.#byRun.get(runId)?.get(key);
    return followed !== undefined && followed.task === undefined;
  }

  /** The run whose unclaimed offer this is; undefined for everything else. */
  offeredBy(taskId: string): string | undefined {
    const runId = runIdOf(taskId);
    return this.#byRun.get(runId)?.get(taskId)?.task?.state === TaskState.OFFERED ? runId : undefined;
  }

  /** The task that holds room under an id, with its run. */
  holder(taskId: string): (Followed & { readonly runId: string }) | undefined {
    const runId = runIdOf(taskId);
    const followed = this.#byRun.get(runId)?.get(taskId);
    return followed?.task === undefined ? undefined : { ...followed, runId };
  }

  clear(): void {
    this.#byRun.clear();
  }
}

/** The run of a task; its id is the first part of the task's. */
export function runIdOf(taskId: string): string {
  return taskId.split("-", 1)[0] ?? "";
}

function followedJobs(run: Run): Followed[] {
  return run.jobs.flatMap((job) => {
    const { spec } = job;
    const task = currentTask(job);
    const name = jobName(run, job);
    if (spec === undefined) return [];
    if (task !== undefined && !isTaskEnded(task.state)) {
      return { key: task.id, name, job, spec, task, signature: `holds ${task.preemptedBy}` };
    }
    if (job.state !== JobState.PENDING) return [];
    return { key: nextAttempt(run, job).taskId, name, job, spec, signature: gangSignature(run, spec) };
  });
}

/** A gang's members are known by all of them, so each counts as changed when another ends. */
function gangSignature(run: Run, { gang }: JobSpec): string {
  if (gang === "") return "";
  return run.jobs.map((job) => (job.spec?.gang === gang && !isJobEnded(job.state) ? "1" : "0")).join("");
}
