import { readdir, readFile } from "node:fs/promises";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { consumeDecisions, publishBeat, subscribeHeartbeats } from "@kedge/bus";
import { systemClock } from "@kedge/kernel";
import {
  AssignmentSchema,
  type Heartbeat,
  type LocalDecision,
  LocalDecisionKind,
  ReplicaAssignmentSchema,
  ReplicaState,
  RouteSchema,
  VerdictKind,
} from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ControllerFixture, waitFor } from "../testing/agent-fixture.ts";
import { pushVoiceModel } from "../testing/pushed-model.ts";
import { type AgentProcess, spawnAgent } from "../testing/spawn-agent.ts";

const START_MS = 60_000;
const CUT_OFF_MS = 1_500;
/** Answers its warm-up and fails on users. */
const BAD =
  "let asked = 0; export function preprocess(request) { if (++asked > 8) throw new Error('bad'); return request; }";
const REQUEST = JSON.stringify({
  inputs: [
    { name: "input", datatype: "FP32", shape: [1, 512], data: Array.from({ length: 512 }, () => 0) },
    { name: "state", datatype: "FP32", shape: [2, 1, 128], data: Array.from({ length: 256 }, () => 0) },
    { name: "sr", datatype: "INT64", shape: [], data: [16_000] },
  ],
});
const JUDGEMENT = { rolloutId: "vad-2-1", fromRevision: 1, toRevision: 2, alpha: 0.0001 };
const HALVES = [
  { revision: 1, basisPoints: 5000 },
  { revision: 2, basisPoints: 5000 },
];

describe("a node that is cut off while a rollout is judged", () => {
  const decisions: LocalDecision[] = [];
  const stop = new AbortController();
  let controller: ControllerFixture;
  let agent: AgentProcess;
  let heartbeat: Heartbeat | undefined;
  let stopBeat = (): void => {};

  beforeAll(async () => {
    controller = await ControllerFixture.start("n1");
    subscribeHeartbeats(controller.testBus.bus, (each) => {
      heartbeat = each;
    });
    const onDecisions = (all: LocalDecision[]): Promise<void> => {
      decisions.push(...all);
      return Promise.resolve();
    };
    void consumeDecisions(controller.testBus.bus, { durable: "controller", onDecisions }, stop.signal);
    agent = await spawnAgent(controller.dataDir, { cutOffMs: CUT_OFF_MS });
    beat();
    const good = await pushVoiceModel(controller, "silero_vad_v5.onnx");
    const bad = await pushVoiceModel(controller, "silero_vad_v5.onnx", { "handler.mjs": BAD });
    const replicas = [good, bad].map((manifestDigest, i) =>
      create(ReplicaAssignmentSchema, {
        ...{ replicaId: `vad.${i + 1}.n1.0`, deployment: "vad", revision: i + 1, manifestDigest },
        template: { source: { case: "model", value: { model: "vad", version: String(i + 1) } } },
      }),
    );
    await controller.assignments.create("n1", create(AssignmentSchema, { nodeId: "n1", generation: 1n, replicas }));
    await route(1n, { splits: HALVES.slice(0, 1) });
    await waitFor(
      () => heartbeat?.replicas.filter(({ state }) => state === ReplicaState.READY).length === 2,
      () => JSON.stringify(heartbeat?.replicas.map(({ state, message }) => [state, message])),
      START_MS,
    );
  }, 2 * START_MS);

  afterAll(async () => {
    stopBeat();
    stop.abort();
    await agent?.end("SIGTERM");
    await controller?.stop();
  });

  /** The leader is there until this is stopped. */
  function beat(): void {
    publishBeat(controller.testBus.bus);
    stopBeat = systemClock.after(200, beat);
  }

  async function route(generation: bigint, more: MessageInitShape<typeof RouteSchema>): Promise<void> {
    const names = { deployment: "vad", generation, windowMs: 250, stableRevision: 1 };
    const value = create(RouteSchema, { ...names, splits: HALVES, ...more });
    const known = controller.routes.get("vad");
    if (known === undefined) await controller.routes.create("vad", value);
    else await controller.routes.update("vad", value, known.revision);
  }

  const infer = async (): Promise<number> =>
    (await fetch(`http://${agent.gatewayAddress}/v2/models/vad/infer`, { method: "POST", body: REQUEST })).status;

  /** The processes of this node's HAProxy. */
  async function haproxies(): Promise<number[]> {
    const found: number[] = [];
    for (const name of await readdir("/proc")) {
      const command = /^\d+$/.test(name) ? await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "") : "";
      if (/haproxy\0/.test(command) && command.includes(controller.dataDir)) found.push(Number(name));
    }
    expect(found).not.toEqual([]);
    return found;
  }

  /** Statuses of so many requests; with a bad revision at a half none of 40 fails once in a trillion times. */
  async function statuses(count = 40): Promise<number[]> {
    const all: number[] = [];
    for (let i = 0; i < count; i++) all.push(await infer());
    return all;
  }

  const sharesSeen = () => heartbeat?.routes.find(({ deployment }) => deployment === "vad");
  const applied = (generation: bigint) =>
    waitFor(
      () => (sharesSeen()?.generation === generation ? sharesSeen() : undefined),
      () => `generation ${sharesSeen()?.generation}`,
    );

  it("leaves the judging to the controller while that is there", async () => {
    await route(2n, { judgement: JUDGEMENT });
    await applied(2n);
    expect(await statuses(80)).toContain(500);
    expect((await applied(2n)).basisPoints).toEqual({ 1: 5000, 2: 5000 });
  });

  it("rolls back by itself once no controller is heard, although NATS is there", async () => {
    stopBeat();
    await waitFor(
      async () => (await statuses()).every((status) => status === 200),
      () => "the bad revision still answers",
      20_000,
    );
    expect(decisions).toEqual([]);
  });

  it("stays there without NATS, and through the end of HAProxy and of its agent", async () => {
    await controller.testBus.nats.stop();
    for (const pid of await haproxies()) process.kill(pid, "SIGKILL");
    await waitFor(
      () => infer().catch(() => undefined),
      () => "HAProxy is not back",
      20_000,
    );
    expect(await statuses()).not.toContain(500);
    await agent.end("SIGKILL");
    expect(await statuses()).not.toContain(500);
    agent = await spawnAgent(controller.dataDir, { cutOffMs: CUT_OFF_MS });
    expect(await statuses()).not.toContain(500);
  });

  it("tells the controller, and lets no route that does not know of it bring the revision back", async () => {
    heartbeat = undefined;
    await controller.testBus.nats.start(stop.signal);
    beat();
    const told = await waitFor(
      () => decisions[0],
      () => "no decision",
    );
    expect(told).toMatchObject({
      ...{ nodeId: "n1", deployment: "vad", rolloutId: "vad-2-1", revision: 2, fromRevision: 1 },
      ...{ kind: LocalDecisionKind.ROLLBACK, routeGeneration: 2n, verdict: { kind: VerdictKind.ROLLBACK } },
    });
    expect(told.cutOffSeconds).toBeGreaterThanOrEqual(1);
    // Written by a controller that has not heard of it.
    await route(3n, { judgement: JUDGEMENT, previewRevision: 2 });
    expect((await applied(3n)).basisPoints).toEqual({ 1: 10_000 });
    expect(await statuses()).not.toContain(500);
    const known = controller.assignments.get("n1");
    const left = known?.value.replicas.filter(({ revision }) => revision === 2) ?? [];
    const promoted = create(AssignmentSchema, { nodeId: "n1", generation: 2n, replicas: left });
    await controller.assignments.update("n1", promoted, known?.revision ?? 0);
    await waitFor(
      () => heartbeat?.assignmentGeneration === 2n,
      () => `assignment ${heartbeat?.assignmentGeneration}`,
    );
    expect(await statuses()).not.toContain(500);
  });

  it("follows the controller again once that has merged it, whatever it has decided", async () => {
    const merged = [{ rolloutId: "vad-2-1", nodeId: "n1" }];
    await route(4n, { judgement: JUDGEMENT, merged });
    expect((await applied(4n)).basisPoints).toEqual({ 1: 5000, 2: 5000 });
    await route(5n, { merged, splits: [{ revision: 1, basisPoints: 10_000 }] });
    expect((await applied(5n)).basisPoints).toEqual({ 1: 10_000 });
  });
});
