import { access, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { isRunEnded } from "@kedge/domain";
import { type Run, RunState } from "@kedge/proto";
import type { Cluster } from "../../setup/cluster.ts";
import { ended, jobStates } from "../../setup/runs.ts";
import { waitFor } from "../../setup/wait-for.ts";
import type { Action, Scenario } from "./scenario.ts";

/** Longer than a lost node's lease. */
const RUN_MS = 85_000;

/** What became of a scenario. */
export interface Played {
  readonly run: Run;
  /** Files that are there of those that are expected. */
  readonly files: readonly string[];
}

/** Submits a scenario's pipeline, does what it says while it runs, and waits for its end. */
export async function play(cluster: Cluster, { name, source, applied, expected }: Scenario): Promise<Played> {
  const dir = join(cluster.folder, "dag", name);
  await mkdir(dir, { recursive: true });
  const parameters: Record<string, string> = source.includes("parameters.dir") ? { dir } : {};
  for (const pipeline of applied) await cluster.client.pipelines.applyPipeline({ source: pipeline });
  const { run } = await cluster.client.runs.submitRun({
    pipeline: { case: "pipelineSource", value: source },
    parameters,
    source: { ...expected.source },
  });
  const runId = run?.id ?? "";
  for (const action of expected.actions ?? []) await act(cluster, runId, action);
  const last = await ended(cluster, runId, RUN_MS);
  const files = expected.files ?? [];
  const isThere = await Promise.all(files.map((file) => exists(join(dir, file))));
  return { run: last, files: files.filter((_, i) => isThere[i]) };
}

async function act(cluster: Cluster, runId: string, { once, do: what }: Action): Promise<void> {
  const conditions = once.split(" and ").map((text) => text.split(" "));
  await waitFor(`${once} in run ${runId}`, async () => {
    const { run } = await cluster.client.runs.getRun({ runId });
    if (run === undefined) return { instead: "no run" };
    const states: Record<string, string> = { ...jobStates(run), run: RunState[run.state] ?? "" };
    if (conditions.every(([subject = "", state]) => states[subject] === state)) return { value: true };
    if (isRunEnded(run.state)) throw new Error(`the run has ended: ${JSON.stringify(states)}`);
    return { instead: states };
  });
  const [verb = "", subject = ""] = what.split(" ");
  if (verb === "cancel") await cluster.client.runs.cancelRun({ runId, reason: "by the test" });
  else if (verb === "approve") await cluster.client.runs.approveJob({ runId, job: subject });
  else if (verb === "reject") await cluster.client.runs.rejectJob({ runId, job: subject });
  else if (verb === "approve-run") await cluster.client.runs.approveRun({ runId });
  else if (verb === "kill") await cluster.node(subject).agent.kill("SIGKILL");
  else throw new Error(`what is "${what}"?`);
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
