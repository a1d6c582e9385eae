import { readFile } from "node:fs/promises";
import { waitForRun } from "@kedge/client";
import { isRunEnded } from "@kedge/domain";
import { type Job, JobState, type Run, RunState } from "@kedge/proto";
import type { Cluster } from "./cluster.ts";
import { waitFor } from "./wait-for.ts";

/** What a run is started from. */
export interface Submission {
  /** Absolute path of the pipeline file. */
  readonly file: string;
  readonly parameters?: Readonly<Record<string, string>>;
  readonly repository?: string;
  readonly commit?: string;
}

const RUN_TIMEOUT_MS = 90_000;

/** Starts a run; its id. */
export async function submit(cluster: Cluster, { file, parameters = {}, ...source }: Submission): Promise<string> {
  const { run } = await cluster.client.runs.submitRun({
    pipeline: { case: "pipelineSource", value: await readFile(file, "utf8") },
    parameters: { ...parameters },
    source: { repository: source.repository ?? "", commit: source.commit ?? "" },
  });
  if (run === undefined) throw new Error("no run in the answer");
  return run.id;
}

/** Waits for a run's end; on time-out the error has the run as it was seen last. */
export async function ended(cluster: Cluster, runId: string, timeoutMs = RUN_TIMEOUT_MS): Promise<Run> {
  let last: Run | undefined;
  const onChange = (run: Run): void => {
    last = run;
  };
  const signal = AbortSignal.timeout(timeoutMs);
  const run = await waitForRun(cluster.client, runId, { signal, onChange }).catch((cause: unknown) => {
    throw new Error(`run ${runId} did not end; last seen: ${last === undefined ? "nothing" : summary(last)}`, {
      cause,
    });
  });
  return run;
}

/** Waits until a job of the run satisfies the condition. */
export function jobWhere(cluster: Cluster, runId: string, name: string, holds: (job: Job) => boolean): Promise<Job> {
  return waitFor(`job ${name} of run ${runId} is as expected`, async () => {
    const { run } = await cluster.client.runs.getRun({ runId });
    const job = run?.jobs.find(({ spec }) => spec?.name === name);
    if (job !== undefined && holds(job)) return { value: job };
    if (run !== undefined && isRunEnded(run.state)) throw new Error(`the run has ended: ${summary(run)}`);
    return { instead: run === undefined ? undefined : summary(run) };
  });
}

/** The job of this name. */
export function job(run: Run, name: string): Job {
  const found = run.jobs.find(({ spec }) => spec?.name === name);
  if (found === undefined) throw new Error(`no job ${name}`);
  return found;
}

/** Names of the jobs' states, by job. */
export function jobStates(run: Run): Record<string, string> {
  return Object.fromEntries(run.jobs.map(({ spec, state }) => [spec?.name ?? "", JobState[state]]));
}

/** The run's state by name, and why it is in it: for comparing with a message that explains a failure. */
export function outcome(run: Run): string {
  return run.state === RunState.SUCCEEDED ? "SUCCEEDED" : `${RunState[run.state]}: ${summary(run)}`;
}

function summary(run: Run): string {
  const jobs = run.jobs.map(({ spec, state, reason, failure }) => {
    const why = failure?.message || reason;
    return `${spec?.name}=${JobState[state]}${why ? ` (${why})` : ""}`;
  });
  return `${RunState[run.state]} ${run.reason} [${jobs.join(", ")}]`;
}
