import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { subscribeHeartbeats, subscribeWindows } from "@kedge/bus";
import { silentLogger, systemClock } from "@kedge/kernel";
import {
  AssignmentSchema,
  ReplicaAssignmentSchema,
  ReplicaFailure,
  ReplicaState,
  type ReplicaStatus,
  RouteSchema,
  type Window,
} from "@kedge/proto";
import { createProcessRuntime } from "@kedge/runtime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningAgent, startAgent } from "../agent.ts";
import { ControllerFixture, waitFor } from "../testing/agent-fixture.ts";
import { pushVoiceModel } from "../testing/pushed-model.ts";

const LABELS = 'export function preprocess(request, context) { context.label("speech"); return request; }';
const START_MS = 60_000;
const REQUEST = JSON.stringify({
  inputs: [
    { name: "input", datatype: "FP32", shape: [1, 512], data: Array.from({ length: 512 }, () => 0) },
    { name: "state", datatype: "FP32", shape: [2, 1, 128], data: Array.from({ length: 256 }, () => 0) },
    { name: "sr", datatype: "INT64", shape: [], data: [16_000] },
  ],
});

describe("a serving node", () => {
  const windows: Window[] = [];
  let replicas: readonly ReplicaStatus[] = [];
  let controller: ControllerFixture;
  let agent: RunningAgent;
  beforeAll(async () => {
    controller = await ControllerFixture.start("n1");
    subscribeWindows(controller.testBus.bus, (window) => windows.push(window));
    subscribeHeartbeats(controller.testBus.bus, (heartbeat) => {
      replicas = heartbeat.replicas;
    });
    agent = await startAgent(controller.options({ metricsListen: { host: "127.0.0.1", port: 0 } }));
    const good = await pushVoiceModel(controller, "silero_vad_v5.onnx", { "handler.mjs": LABELS });
    const bad = await pushVoiceModel(controller, "silero_vad_v5.onnx", { "handler.mjs": "import 'nowhere';" });
    const replica = (replicaId: string, revision: number, manifestDigest: string) =>
      create(ReplicaAssignmentSchema, {
        ...{ replicaId, deployment: "vad", revision, manifestDigest },
        template: { source: { case: "model", value: { model: "vad", version: String(revision) } } },
      });
    const wanted = [replica("vad.1.n1.0", 1, good), replica("vad.1.n1.1", 1, good), replica("vad.2.n1.0", 2, bad)];
    await controller.assignments.create(
      "n1",
      create(AssignmentSchema, { nodeId: "n1", generation: 1n, replicas: wanted }),
    );
    const splits = [{ revision: 1, basisPoints: 10_000 }];
    const route = { deployment: "vad", generation: 1n, splits, windowMs: 250, stableRevision: 1 };
    await controller.routes.create("vad", create(RouteSchema, route));
    await readyAgain("vad.1.n1.0");
    await readyAgain("vad.1.n1.1");
  }, 2 * START_MS);
  afterAll(async () => {
    await agent?.stop({ endWork: true });
    await controller?.stop();
  });

  const seen = (): string =>
    replicas
      .map(({ replicaId, state, restarts, message }) => `${replicaId} ${state} ${restarts} ${message}`)
      .join("; ");
  const status = (id: string): ReplicaStatus | undefined => replicas.find(({ replicaId }) => replicaId === id);
  const readyAgain = (id: string, restarts = 0): Promise<unknown> =>
    waitFor(() => status(id)?.state === ReplicaState.READY && status(id)?.restarts === restarts, seen, START_MS);
  const infer = (): Promise<Response> =>
    fetch(`http://${agent.gatewayAddress}/v2/models/vad/infer`, { method: "POST", body: REQUEST });

  it("tells requests and their prediction labels in windows", async () => {
    for (let sent = 0; sent < 5; sent++) expect((await infer()).status).toBe(200);
    const total = (): { requests: number; speech: number } => {
      const revisions = windows.flatMap((window) => window.revisions.filter(({ revision }) => revision === 1));
      const sum = (values: number[]): number => values.reduce((left, right) => left + right, 0);
      return {
        requests: sum(revisions.map(({ requests }) => requests)),
        speech: sum(revisions.map(({ predictions }) => predictions["speech"] ?? 0)),
      };
    };
    await waitFor(
      () => total().requests === 5 && total().speech === 5,
      () => JSON.stringify(total()),
    );
    expect(windows[0]).toMatchObject({ nodeId: "n1", deployment: "vad", routeGeneration: 1n });
  });

  it("shows its state to Prometheus", async () => {
    const read = async (path: string): Promise<string> => (await fetch(`http://${agent.metricsAddress}${path}`)).text();
    const metrics = await read("/metrics");
    expect(metrics).toContain('kedge_agent_replicas{state="ready"} 2');
    expect(metrics).toContain('kedge_agent_gateway_requests_total{deployment="vad",revision="1"} 5');
    expect(metrics).toContain("kedge_agent_bus_connected 1");
    const health = { nodeId: "n1", connected: true, leaseHeld: true, gateway: agent.gatewayAddress };
    expect(JSON.parse(await read("/healthz"))).toEqual(health);
  });

  it("calls a replica that crashes again and again failed, with the last line it wrote", async () => {
    const failed = await waitFor(
      () => (status("vad.2.n1.0")?.state === ReplicaState.FAILED ? status("vad.2.n1.0") : undefined),
      seen,
      START_MS,
    );
    expect(failed.message).toContain("handler.mjs cannot be imported");
    expect(failed.restarts).toBeGreaterThanOrEqual(3);
    expect(failed.lastFailure).toBe(ReplicaFailure.EXITED);
  });

  it("starts a killed replica again, and answers meanwhile", async () => {
    const dir = join(controller.dataDir, "processes");
    const processes = createProcessRuntime({ dir, clock: systemClock, logger: silentLogger });
    const [victim] = await processes.list({ "kedge.replica": "vad.1.n1.0" });
    process.kill(-(victim?.pid ?? 0), "SIGKILL");
    const answers: number[] = [];
    const ready = readyAgain("vad.1.n1.0", 1);
    let isReady = false;
    void ready.finally(() => {
      isReady = true;
    });
    while (!isReady) {
      answers.push((await infer()).status);
      await systemClock.sleep(10);
    }
    await ready;
    expect(answers.filter((code) => code !== 200)).toEqual([]);
    // A plain process that is killed by somebody else was killed for its memory, as far as anybody can tell.
    const recovered = { lastFailure: ReplicaFailure.OUT_OF_MEMORY, memoryKills: 1, message: "" };
    expect(status("vad.1.n1.0")).toMatchObject(recovered);
    expect(status("vad.1.n1.0")?.retryAt).toBeUndefined();
  });
});
