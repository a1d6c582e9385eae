import { equals } from "@bufbuild/protobuf";
import { isJobEnded } from "@kedge/domain";
import { type Job, JobSchema, type Run, RunSchema } from "@kedge/proto";

/**
 * A copy of a run to be moved on, sharing what moving on never changes in place: what jobs are, jobs that have ended, and
 * all values that are replaced as a whole. Runs of a thousand jobs are copied with every event; a deep copy is many times
 * as slow.
 */
export function copyRun(run: Run): Run {
  return { ...run, jobs: run.jobs.map((job) => (isJobEnded(job.state) ? job : copyJob(job))) };
}

function copyJob(job: Job): Job {
  return {
    ...job,
    tasks: job.tasks.map((task) => ({ ...task })),
    steps: [...job.steps],
    gateResults: [...job.gateResults],
    artifacts: [...job.artifacts],
    decisions: [...job.decisions],
  };
}

/** Tells whether a copy is still like the run it was made from. */
export function isSameRun(copy: Run, run: Run): boolean {
  if (copy.jobs.length !== run.jobs.length) return false;
  return isSameHead(copy, run) && copy.jobs.every((job, i) => isSameJob(job, run.jobs[i]));
}

function isSameHead(copy: Run, run: Run): boolean {
  return equals(RunSchema, { ...copy, jobs: [] }, { ...run, jobs: [] });
}

function isSameJob(copy: Job, job: Job | undefined): boolean {
  if (copy === job) return true;
  if (job === undefined || copy.state !== job.state || copy.spec !== job.spec) return false;
  const { spec: _, ...mine } = copy;
  const { spec: __, ...other } = job;
  return equals(JobSchema, mine, other);
}
