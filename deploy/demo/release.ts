import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { waitForRun } from "@kedge/client";
import { newId, systemClock } from "@kedge/kernel";
import { type Deployment, type Rollout, RolloutState, type Run, RunState } from "@kedge/proto";
import type { Cluster } from "./cluster.ts";
import type { Load, Tally } from "./load.ts";
import { RunNarrator } from "./narrator.ts";
import type { Commit } from "./repository.ts";
import type { Timeline } from "./timeline.ts";

/** What a release is made with. */
export interface ReleaseContext {
  readonly cluster: Cluster;
  readonly load: Load;
  readonly timeline: Timeline;
  readonly deployment: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** How a release went. */
export interface Release {
  readonly run: Run;
  readonly rollout: Rollout;
  readonly deployment: Deployment;
  readonly tally: Tally;
  /** Milliseconds since 1970. */
  readonly committedAt: number;
  readonly endedAt: number;
}

const PROGRESS_MS = 3000;

/** Hands a commit to Kedge as a run and follows it to its end, however it ends. */
export async function release(
  context: ReleaseContext,
  { commit, pipeline, phase }: { readonly commit: Commit; readonly pipeline: string; readonly phase: string },
): Promise<Release> {
  const { cluster, load, timeline, signal, parameters } = context;
  const { client } = cluster;
  const committedAt = systemClock.now();
  const tally = load.phase(phase);
  const source = { repository: commit.repository, commit: commit.commit, ref: "main", message: commit.message };
  const request = {
    pipeline: { case: "pipelineSource" as const, value: pipeline },
    ...{ parameters, source, idempotencyKey: newId(systemClock) },
  };
  const submitted = await client.runs.submitRun(request, { signal });
  if (submitted.run === undefined) throw new Error("the controller answered without a run");
  timeline.say("run", `${submitted.run.id} submitted for commit ${commit.commit.slice(0, 8)} "${commit.message}"`);
  const narrator = new RunNarrator(timeline);
  const stopProgress = tellProgress(context);
  try {
    const run = await waitForRun(client, submitted.run.id, { signal, onChange: (state) => narrator.tell(state) });
    const deployment = await settled(context);
    if (deployment.rollout === undefined) throw new Error("the deployment has no rollout");
    return { run, rollout: deployment.rollout, deployment, tally, committedAt, endedAt: at(run.finishedAt) };
  } finally {
    stopProgress();
  }
}

/** The run's state and, when it failed, why, for people. */
export function outcome({ run }: Release): string {
  const failed = run.jobs.find(({ failure }) => failure !== undefined);
  if (run.state === RunState.SUCCEEDED) return "succeeded";
  return `failed: ${failed?.spec?.name}: ${failed?.failure?.message}`;
}

/** When a rollout first came to this state, milliseconds since 1970. */
export function transitionAt(rollout: Rollout, to: RolloutState): number | undefined {
  const found = rollout.transitions.find((step) => step.to === to);
  return found === undefined ? undefined : at(found.at);
}

function at(timestamp: Timestamp | undefined): number {
  return timestamp === undefined ? systemClock.now() : timestampMs(timestamp);
}

/** Says every few seconds what users get, while a release goes on. */
function tellProgress({ load, timeline }: ReleaseContext): () => void {
  let cancel = (): void => {};
  let last = load.current.requests;
  const tell = (): void => {
    const { requests, failed, byVersion } = load.current;
    const versions = [...byVersion].map(([version, count]) => `version ${version}: ${count}`).join(", ");
    const rate = Math.round(((requests - last) * 1000) / PROGRESS_MS);
    timeline.say("traffic", `${rate} requests/s, ${failed} failed so far; answered by ${versions}`, "progress");
    last = requests;
    cancel = systemClock.after(PROGRESS_MS, tell);
  };
  cancel = systemClock.after(PROGRESS_MS, tell);
  return () => cancel();
}

/** The deployment once its rollout is over. */
async function settled({ cluster, deployment: name, signal }: ReleaseContext): Promise<Deployment> {
  for (;;) {
    const { deployment } = await cluster.client.deployments.getDeployment({ name }, { signal });
    const state = deployment?.rollout?.state;
    if (deployment !== undefined && (state === RolloutState.SUCCEEDED || state === RolloutState.ROLLED_BACK))
      return deployment;
    await systemClock.sleep(100, signal);
  }
}
