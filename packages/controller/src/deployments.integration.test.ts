import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Deployment,
  DeploymentService,
  type DeploymentSpecSchema,
  JobState,
  ModelService,
  type PushModelRequest,
  PushModelRequestSchema,
  RevisionState,
  RolloutState,
  RunState,
} from "@kedge/proto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ControllerHarness } from "./testing/controller-harness.ts";
import { eventually } from "./testing/eventually.ts";
import type { ScriptedAgent } from "./testing/scripted-agent.ts";

let harness: ControllerHarness;
let agent: ScriptedAgent;
let silero: { legacy: Uint8Array; v5: Uint8Array };

const MODELS = dirname(createRequire(import.meta.url).resolve("@ricky0123/vad-web/package.json"));

beforeAll(async () => {
  const read = (file: string) => readFile(join(MODELS, "dist", file));
  silero = { legacy: await read("silero_vad_legacy.onnx"), v5: await read("silero_vad_v5.onnx") };
  harness = await ControllerHarness.start();
  agent = await harness.agent("n1");
});
afterAll(() => harness.stop());

async function* upload(model: string, bytes: Uint8Array, options: { force?: boolean; note?: string } = {}) {
  const { force = false, note } = options;
  const part = (value: PushModelRequest["part"]) => create(PushModelRequestSchema, { part: value });
  const header = {
    $typeName: "kedge.v1.PushModelHeader" as const,
    model,
    tags: ["candidate"],
    metrics: {},
    labels: {},
  };
  yield part({ case: "header", value: { ...header, force, idempotencyKey: "" } });
  const file = (path: string, data: Uint8Array) =>
    part({ case: "file", value: { $typeName: "kedge.v1.FileData", path, data } });
  for (let at = 0; at < bytes.length; at += 1 << 20) yield file("model.onnx", bytes.subarray(at, at + (1 << 20)));
  if (note !== undefined) yield file("note.txt", Buffer.from(note));
}

type Spec = MessageInitShape<typeof DeploymentSpecSchema>;

const spec = (version: string, more: Partial<Spec> = {}): Spec =>
  ({
    name: "vad",
    template: { source: { case: "model", value: { model: "silero", version } } },
    scale: { case: "replicas", value: 1 },
    strategy: { kind: { case: "canary", value: { steps: [{ weightPercent: 50, holdSeconds: 1, minRequests: 200 }] } } },
    ...more,
  }) as Spec;

const deployment = async (): Promise<Deployment> => {
  const { deployment: found } = await harness.client(DeploymentService).getDeployment({ name: "vad" });
  if (found === undefined) throw new Error("no deployment came back");
  return found;
};
/** Looks, and puts the clock forward while a promotion waits for gateways to drain. */
const hurried = async (): Promise<Deployment> => {
  const seen = await deployment();
  if (seen.rollout?.state === RolloutState.PROMOTING) harness.clock.skip(1_000);
  return seen;
};
const rolledOut = (revision: number, state: RolloutState) =>
  eventually(hurried, ({ rollout }) => rollout?.toRevision === revision && rollout.state === state);

test("the content of a model is versioned once, and a changed signature is refused unless forced", async () => {
  const { models } = harness;
  const first = await models.pushModel(upload("silero", silero.legacy));
  expect(first).toMatchObject({ existed: false, version: { version: 1 } });
  expect(await models.pushModel(upload("silero", silero.legacy))).toMatchObject({ existed: true, newBytes: 0n });
  const error = await models.pushModel(upload("silero", silero.v5)).catch((e: unknown) => e);
  expect(error).toMatchObject({ reason: "MODEL_SIGNATURE_CHANGED" });
  const notes = ["a", "b", "c"].map((note) => models.pushModel(upload("silero", silero.legacy, { note })));
  const versions = (await Promise.all(notes)).map(({ version }) => version?.version);
  expect(versions.toSorted()).toEqual([2, 3, 4]);
  const digests = (await models.listModels({ model: "silero" })).versions.map(({ digest }) => digest);
  expect(new Set(digests).size).toBe(4);
  const forced = await models.pushModel(upload("silero", silero.v5, { force: true }));
  expect(forced.version?.version).toBe(5);
  expect(
    await harness
      .client(ModelService)
      .getModel({ model: "silero", version: "constructor" })
      .catch((e: unknown) => e),
  ).toMatchObject({
    reason: "MODEL_NOT_FOUND",
  });
  expect(await models.getModel({ model: "silerro" }).catch((e: unknown) => e)).toMatchObject({
    reason: "MODEL_NOT_FOUND",
    hint: "did you mean silero?",
  });
});

test("a first revision serves as soon as it is ready, and the tag follows it", async () => {
  await harness.deployments.applyDeployment({ spec: spec("1") });
  const live = await rolledOut(1, RolloutState.SUCCEEDED);
  expect(live.stableRevision).toBe(1);
  const { model } = await eventually(
    () => harness.models.getModel({ model: "silero" }),
    (seen) => seen.model?.tags["promoted"] === 1,
  );
  expect(model?.tags).toMatchObject({ promoted: 1 });
});

const deployPipeline = (version: number) => `name: d
jobs:
  roll:
    deploy:
      name: vad
      model: silero
      version: "${version}"
      canary:
        steps: [{ weight: 50, hold: 1s, min-requests: 200 }]
`;

test("a deploy job ends with the promotion of a revision that serves as well", async () => {
  agent.traffic = { requests: 100, errorPercent: () => 0 };
  const { id } = await harness.submit(deployPipeline(2));
  await rolledOut(2, RolloutState.SUCCEEDED);
  expect(await harness.until(id)).toMatchObject({ state: RunState.SUCCEEDED, jobs: [{ deployedRevision: 2 }] });
  expect((await deployment()).stableRevision).toBe(2);
});

test("a revision that answers with errors is rolled back, and its job says why", async () => {
  agent.traffic = { requests: 100, errorPercent: (revision) => (revision === 3 ? 60 : 0) };
  const { id } = await harness.submit(deployPipeline(3));
  const run = await harness.until(id);
  expect(run.state).toBe(RunState.FAILED);
  expect(run.jobs[0]?.reason).toContain("the judge says roll back");
  const live = await rolledOut(3, RolloutState.ROLLED_BACK);
  expect(live.stableRevision).toBe(2);
  expect(agent.routes.get("vad")?.splits).toMatchObject([{ revision: 2, basisPoints: 10_000 }]);
  // A retry rolls it out anew instead of repeating the old verdict.
  agent.traffic = { requests: 100, errorPercent: () => 0 };
  await harness.runs.retryRun({ runId: id });
  await rolledOut(4, RolloutState.SUCCEEDED);
  expect(await harness.until(id)).toMatchObject({ state: RunState.SUCCEEDED, jobs: [{ deployedRevision: 4 }] });
});

test("a controller that is stopped in the middle of a rollout goes on with the same one", async () => {
  agent.traffic = undefined;
  const { id } = await harness.submit(deployPipeline(1));
  const before = await eventually(deployment, ({ rollout }) => rollout?.state === RolloutState.PROGRESSING);
  await harness.stopController();
  await harness.startController();
  agent.traffic = { requests: 100, errorPercent: () => 0 };
  await rolledOut(5, RolloutState.SUCCEEDED);
  expect((await harness.until(id)).state).toBe(RunState.SUCCEEDED);
  expect((await deployment()).rollout?.id).toBe(before.rollout?.id);
});

test("of candidates that wait, only the newest is rolled out, and older ones never are", async () => {
  agent.traffic = undefined;
  const jobs = [];
  for (const version of [2, 3, 4]) {
    jobs.push(await harness.submit(deployPipeline(version)));
    await harness.until(jobs.at(-1)?.id ?? "", (run) => (run.jobs[0]?.deployedRevision ?? 0) > 0);
  }
  agent.traffic = { requests: 100, errorPercent: () => 0 };
  await rolledOut(8, RolloutState.SUCCEEDED);
  const ended = await Promise.all(jobs.map(({ id }) => harness.until(id)));
  expect(ended.map((run) => run.state)).toEqual([RunState.FAILED, RunState.FAILED, RunState.SUCCEEDED]);
  const live = await deployment();
  expect(live.stableRevision).toBe(8);
  expect(live.revisions.some((revision) => revision.state === RevisionState.CANDIDATE)).toBe(false);
});

test("cancelling a run gives its rollout up; a person's rollback returns to the revision before", async () => {
  agent.traffic = undefined;
  const { id } = await harness.submit(deployPipeline(1));
  await eventually(
    deployment,
    ({ rollout }) => rollout?.toRevision === 9 && rollout.state === RolloutState.PROGRESSING,
  );
  await harness.runs.cancelRun({ runId: id });
  expect(await harness.until(id)).toMatchObject({ state: RunState.CANCELLED, jobs: [{ state: JobState.CANCELLED }] });
  expect((await deployment()).stableRevision).toBe(8);
  await harness.deployments.rollbackDeployment({ deployment: "vad" });
  const live = await rolledOut(5, RolloutState.SUCCEEDED);
  expect(live).toMatchObject({ stableRevision: 5, rollout: { returning: true, fromRevision: 8 } });
  expect(live.spec?.template).toEqual(live.revisions.find(({ number }) => number === 5)?.template);
});

test("a deployment that is deleted ends the jobs that wait for it, and its replicas", async () => {
  agent.traffic = undefined;
  const { id } = await harness.submit(deployPipeline(3));
  await harness.until(id, (run) => (run.jobs[0]?.deployedRevision ?? 0) > 0);
  await harness.deployments.deleteDeployment({ name: "vad" });
  expect((await harness.until(id)).jobs[0]?.reason).toBe("deployment vad was deleted");
  await eventually(
    () => harness.client(DeploymentService).listDeployments({}),
    ({ deployments }) => deployments.length === 0,
  );
  expect(agent.assignment?.replicas).toEqual([]);
});

test("the metrics tell how rollouts ended, each under the type it has", async () => {
  const text = await (await fetch(`http://${harness.controller.httpAddress}/metrics`)).text();
  const types = [...text.matchAll(/^# TYPE (kedge_\w+) (\w+)$/gm)].map(([, name, type]) => `${name} ${type}`);
  expect(types.toSorted()).toEqual([
    "kedge_alert_deliveries_total counter",
    "kedge_commit_statuses_total counter",
    "kedge_holds_total counter",
    "kedge_incidents gauge",
    "kedge_jobs_waiting gauge",
    "kedge_jobs_with_room_held gauge",
    "kedge_judge_evidence gauge",
    "kedge_nodes gauge",
    "kedge_nodes_quarantined gauge",
    "kedge_placements_total counter",
    "kedge_preemptions_total counter",
    "kedge_reconcile_queue_depth gauge",
    "kedge_rollouts_total counter",
    "kedge_rpc_duration_seconds histogram",
    "kedge_runs gauge",
    "kedge_scheduling_pass_seconds histogram",
    "kedge_task_events_total counter",
    "kedge_webhooks_total counter",
    "kedge_windows_total counter",
  ]);
  const outcomes = [...text.matchAll(/^kedge_rollouts_total\{outcome="(\w+)"\} (\d+)$/gm)];
  expect(outcomes.map(([, outcome]) => outcome)).toEqual(["succeeded", "rolled_back"]);
  for (const [, , count] of outcomes) expect(Number(count)).toBeGreaterThan(0);
});
