import { readdir, readFile } from "node:fs/promises";
import { create } from "@bufbuild/protobuf";
import { subscribeHeartbeats, subscribeWindows } from "@kedge/bus";
import {
  AssignmentSchema,
  type Heartbeat,
  MetricKind,
  MetricProblem,
  ReplicaAssignmentSchema,
  ReplicaState,
  type RevisionWindow,
  RouteSchema,
} from "@kedge/proto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type RunningAgent, startAgent } from "../../agent.ts";
import { ControllerFixture, waitFor } from "../../testing/agent-fixture.ts";
import { pushVoiceModel } from "../../testing/pushed-model.ts";

/** Answers without the model, and pushes what it was asked with. */
const HANDLER = `
export function predict(request, context) {
  const score = request.inputs.x?.data[0] ?? 1;
  context.metrics.observe("score", score);
  context.metrics.observe("unasked", score);
  context.metrics.count("low_scores", score < 0.5 ? 1 : 0);
  return { outputs: { y: { datatype: "FP32", shape: [1], data: Float32Array.of(score) } } };
}`;
const METRICS = [
  { name: "score", kind: MetricKind.MEAN, lower: 0, upper: 1 },
  { name: "low_scores", kind: MetricKind.COUNT },
  { name: "not_there", kind: MetricKind.SAMPLES },
  { name: "nv_inference_request_duration_histogram_us", kind: MetricKind.SAMPLES },
];

let controller: ControllerFixture;
let agent: RunningAgent;
let heartbeat: Heartbeat | undefined;
const seen: RevisionWindow[] = [];

beforeAll(async () => {
  controller = await ControllerFixture.start("n1");
  subscribeHeartbeats(controller.testBus.bus, (each) => {
    heartbeat = each;
  });
  subscribeWindows(controller.testBus.bus, ({ revisions }) => {
    seen.push(...revisions);
  });
  agent = await startAgent(controller.options());
  await serve();
}, 60_000);
afterAll(async () => {
  await agent?.stop({ endWork: true });
  await controller?.stop();
});

async function serve(): Promise<void> {
  const manifestDigest = await pushVoiceModel(controller, "silero_vad_v5.onnx", { "handler.mjs": HANDLER });
  const replicas = [1, 2].map((revision) =>
    create(ReplicaAssignmentSchema, {
      ...{ replicaId: `vad.${revision}.n1.0`, deployment: "vad", revision, manifestDigest },
      template: { source: { case: "model", value: { model: "vad", version: String(revision) } } },
    }),
  );
  await controller.assignments.create("n1", create(AssignmentSchema, { nodeId: "n1", generation: 1n, replicas }));
  const splits = [1, 2].map((revision) => ({ revision, basisPoints: 5_000 }));
  const judgement = {
    rolloutId: "vad-2-1",
    fromRevision: 1,
    toRevision: 2,
    alpha: 0.001,
    analysis: { metrics: METRICS },
  };
  const route = { deployment: "vad", generation: 1n, splits, windowMs: 100, stableRevision: 1, judgement };
  await controller.routes.create("vad", create(RouteSchema, route));
  await waitFor(
    () => readyCount() === 2,
    () => JSON.stringify(heartbeat?.replicas.map(({ state, message }) => [state, message])),
    30_000,
  );
}

function readyCount(): number {
  return heartbeat?.replicas.filter(({ state }) => state === ReplicaState.READY).length ?? 0;
}

async function ask(score: number): Promise<void> {
  const inputs = [{ name: "x", datatype: "FP32", shape: [1], data: [score] }];
  const response = await fetch(`http://${agent.gatewayAddress}/v2/models/vad/infer`, {
    method: "POST",
    body: JSON.stringify({ inputs }),
  });
  expect(response.status).toBe(200);
}

/** What all windows since an index tell of one kind of value, added up over both revisions. */
function total(
  name: string,
  read: (metric: RevisionWindow["metrics"][number]["value"]) => number,
  from: number,
): number {
  const metrics = seen.slice(from).flatMap((part) => part.metrics.filter((metric) => metric.name === name));
  return metrics.reduce((sum, { value }) => sum + read(value), 0);
}

const moments = (key: "count" | "sum", from: number) =>
  total("score", (value) => (value.case === "moments" ? value.value[key] : 0), from);
const events = (key: "events" | "requests", from: number) =>
  total("low_scores", (value) => (value.case === "count" ? value.value[key] : 0), from);

it("tells what handlers pushed, of the metrics that are asked for, by revision", async () => {
  // Both replicas have been asked once when a request's metric is there.
  await waitFor(
    async () => {
      await ask(1);
      return (
        new Set(
          seen
            .filter(({ metrics }) => metrics.some(({ value }) => value.case === "moments"))
            .map(({ revision }) => revision),
        ).size === 2
      );
    },
    () => JSON.stringify(seen.at(-1)?.metrics),
    20_000,
  );
  const before = { count: moments("count", 0), sum: moments("sum", 0), low: events("events", 0) };
  for (let i = 0; i < 50; i++) await ask(0.25);
  await waitFor(
    async () => {
      await ask(1);
      return events("events", 0) - before.low >= 50;
    },
    () => JSON.stringify([before, moments("count", 0), moments("sum", 0), events("events", 0), events("requests", 0)]),
    20_000,
  );
  expect(events("events", 0) - before.low).toBe(50);
  // What was not told as 1 was told as 0.25, fifty times.
  expect(moments("count", 0) - moments("sum", 0) - (before.count - before.sum)).toBeCloseTo(50 * 0.75, 6);
  expect(events("requests", 0)).toBeGreaterThanOrEqual(50);
  expect(new Set(seen.flatMap(({ metrics }) => metrics.map(({ name }) => name)))).toEqual(
    new Set(METRICS.map(({ name }) => name)),
  );
  const durations = seen.flatMap(({ metrics }) =>
    metrics.filter(({ name, value }) => name.startsWith("nv_") && value.case === "samples"),
  );
  expect(durations.length).toBeGreaterThan(0);
  const absent = seen.flatMap(({ metrics }) => metrics.filter(({ name }) => name === "not_there")).at(-1);
  expect(absent).toMatchObject({ value: { case: undefined }, problem: MetricProblem.ABSENT });
}, 60_000);

it("tells how long replicas were ready, and the end of one that was", async () => {
  const from = seen.length;
  await ask(1);
  await waitFor(
    () =>
      seen
        .slice(from)
        .some(({ revision, exposure }) => revision === 2 && exposure?.replicas === 1 && exposure.readyMs > 0n),
    () => JSON.stringify(seen.at(-1)?.exposure?.replicas),
    20_000,
  );
  process.kill(await pidOf("2"), "SIGKILL");
  await waitFor(
    async () => {
      await ask(1).catch(() => {}); // The one that was on its way may be lost.
      return readyCount() === 2 && restarts(from) > 0;
    },
    () => JSON.stringify(heartbeat?.replicas.map(({ state }) => state)),
    30_000,
  );
  expect(restarts(from)).toBe(1);
  expect(seen.slice(from).find(({ exposure }) => exposure?.restarts === 1)).toMatchObject({
    revision: 2,
    exposure: { oomKills: 1 },
  });
}, 60_000);

function restarts(from: number): number {
  return seen.slice(from).reduce((sum, { exposure }) => sum + (exposure?.restarts ?? 0), 0);
}

/** The model server of a revision that this test's agent has started. */
async function pidOf(revision: string): Promise<number> {
  for (const name of await readdir("/proc")) {
    const command = /^\d+$/.test(name) ? await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "") : "";
    const words = command.split("\0");
    if (words[0] !== process.execPath || !command.includes(controller.dataDir)) continue;
    if (words[words.indexOf("--revision") + 1] === revision) return Number(name);
  }
  throw new Error("no such model server runs");
}
