import { timestampMs } from "@bufbuild/protobuf/wkt";
import { FailureClass, type Job, JobState, type Run, RunState, TaskState } from "@kedge/proto";
import { buildHostBaseImage, connectDocker, createImageStore } from "@kedge/runtime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { hasDocker } from "../../setup/containers.ts";
import { job, jobStates, outcome } from "../../setup/runs.ts";
import { type Played, play } from "./play.ts";
import { type ExpectedJob, readScenarios } from "./scenario.ts";

const BASE_IMAGE = "kedge-test/base:1";

const isDockerThere = await hasDocker();
const all = await readScenarios(import.meta.dirname);
const scenarios = all.filter(({ expected }) => expected.needs === undefined || isDockerThere);

/** Waits for what it is told to wait for, all of it on one cluster at once: most of the time scenarios only wait. */
describe("a pipeline", () => {
  let cluster: Cluster;
  const played = new Map<string, Promise<Played>>();

  beforeAll(async () => {
    if (isDockerThere) {
      const images = createImageStore({ docker: connectDocker() });
      await buildHostBaseImage({ images, tag: BASE_IMAGE, programs: ["busybox"] });
    }
    cluster = await Cluster.start([
      { name: "builder", runtime: isDockerThere ? "docker,process" : "process" },
      // Killed amid the others' work, which must not be there.
      { name: "doomed", labels: { role: "doomed", first: "yes" }, taints: ["doomed"] },
      { name: "heir", labels: { role: "doomed" }, taints: ["doomed"] },
      { name: "doomed-too", labels: { role: "doomed-too" }, taints: ["doomed"] },
    ]);
    for (const scenario of scenarios) {
      const playing = play(cluster, scenario);
      playing.catch(() => undefined); // told by the scenario's own test
      played.set(scenario.name, playing);
    }
  });

  afterAll(() => cluster?.[Symbol.asyncDispose]());

  it.each(scenarios.map((scenario) => [scenario.name, scenario] as const))("%s", async (name, { expected }) => {
    const playing = played.get(name);
    if (expected.refused !== undefined) {
      await expect(playing).rejects.toThrow(new RegExp(expected.refused));
      return;
    }
    const { run, files } = (await playing) as Played;
    expect(RunState[run.state], outcome(run)).toBe(expected.run);
    expect(run.reason).toMatch(new RegExp(expected.reason ?? ""));
    expect(Object.keys(jobStates(run)).toSorted()).toEqual(Object.keys(expected.jobs ?? {}).toSorted());
    for (const [jobName, wanted] of Object.entries(expected.jobs ?? {})) {
      assertJob(run, job(run, jobName), typeof wanted === "string" ? { state: wanted } : wanted);
    }
    expect(files).toEqual(expected.files ?? []);
  });
});

function assertJob(run: Run, found: Job, wanted: ExpectedJob): void {
  const why = `${found.spec?.name}: ${outcome(run)}`;
  expect(JobState[found.state], why).toBe(wanted.state);
  expect(found.reason, why).toMatch(new RegExp(wanted.reason ?? ""));
  if (wanted.failure !== undefined) expect(FailureClass[found.failure?.class ?? 0], why).toBe(wanted.failure);
  if (wanted["exit-code"] !== undefined) expect(found.failure?.exitCode, why).toBe(wanted["exit-code"]);
  if (wanted.outputs !== undefined) expect(found.outputs, why).toEqual(wanted.outputs);
  if (wanted.attempts !== undefined) expect(attempts(found), why).toEqual(wanted.attempts);
  if (wanted.steps !== undefined) expect(stepStates(found), why).toEqual(wanted.steps);
  for (const name of wanted.after ?? []) {
    expect(msOf(found.readyAt), why).toBeGreaterThanOrEqual(msOf(job(run, name).finishedAt));
  }
}

/** States of its tasks, but for offers that were taken back: some nodes are killed. */
function attempts({ tasks }: Job): string[] {
  const made = tasks.filter(({ state }) => state !== TaskState.WITHDRAWN);
  return made.map(({ state }) => TaskState[state] ?? "");
}

/** States of the steps that ran. */
function stepStates({ steps }: Job): Record<string, string> {
  const ran = steps.filter(({ state }) => state !== JobState.SKIPPED && state !== JobState.WAITING);
  return Object.fromEntries(ran.map(({ name, state }) => [name, JobState[state] ?? ""]));
}

function msOf(at: Job["readyAt"]): number {
  return at === undefined ? Number.NaN : timestampMs(at);
}
