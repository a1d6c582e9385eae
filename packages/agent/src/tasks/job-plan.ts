import { type JobSpec, RunOn, type Step } from "@kedge/proto";

/** One step of a task, in the order in which they are carried out. */
export interface PlannedStep {
  /** Position in the task, post steps after the others; workloads and records are called by it. */
  readonly index: number;
  /** Its name is unique in the task. */
  readonly step: Step;
  readonly isPost: boolean;
  /** Which ends of what was before it it runs on. */
  readonly runOn: RunOn;
}

/** What is known of a job's steps once they have ended. */
export type JobStatus = "success" | "failure" | "cancelled";

/** The steps of a job, then its post steps. A job that is no list of steps has none. */
export function planOf(job: JobSpec | undefined): readonly PlannedStep[] {
  if (job?.work.case !== "steps") return [];
  const taken = new Set<string>();
  const main = job.work.value.steps.map((step) => ({ step, isPost: false, runOn: step.runOn }));
  const post = job.post.flatMap(({ step, on }) => (step === undefined ? [] : [{ step, isPost: true, runOn: on }]));
  return [...main, ...post].map(({ step, ...rest }, index) => ({ ...rest, index, step: named(step, taken) }));
}

/** The image that a step runs in; empty: it runs as a process, or is no program. */
export function imageOf({ action }: Step, job: JobSpec | undefined): string {
  return action.case === "run" ? action.value.image || job?.image || "" : "";
}

/** Whether something runs by what became of what was before it. What was cancelled has neither succeeded nor failed. */
export function runsOn(runOn: RunOn, status: JobStatus): boolean {
  if (runOn === RunOn.ALWAYS) return true;
  return status === (runOn === RunOn.FAILURE ? "failure" : "success");
}

/** Names tell steps apart in logs and statuses: steps of two lists may have come to the same one. */
function named(step: Step, taken: Set<string>): Step {
  let name = step.name;
  for (let count = 2; taken.has(name); count += 1) name = `${step.name} (${count})`;
  taken.add(name);
  return name === step.name ? step : { ...step, name };
}
