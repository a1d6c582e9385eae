import { create } from "@bufbuild/protobuf";
import { subscribeHeartbeats } from "@kedge/bus";
import { AssignmentSchema, type Heartbeat, ReplicaAssignmentSchema, ReplicaState, RouteSchema } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ControllerFixture, waitFor } from "../testing/agent-fixture.ts";
import { pushVoiceModel } from "../testing/pushed-model.ts";
import { type AgentProcess, spawnAgent } from "../testing/spawn-agent.ts";

describe("serving", () => {
  let controller: ControllerFixture;
  let agent: AgentProcess | undefined;
  let heartbeat: Heartbeat | undefined;
  let revision = 0;
  beforeAll(async () => {
    controller = await ControllerFixture.start("n1");
    subscribeHeartbeats(controller.testBus.bus, (each) => {
      heartbeat = each;
    });
    agent = await spawnAgent(controller.dataDir);
  });
  afterAll(async () => {
    await agent?.end("SIGTERM");
    await controller.stop();
  });

  const push = (weights: string): Promise<string> => pushVoiceModel(controller, weights);

  const replica = (number: number, manifestDigest: string) =>
    create(ReplicaAssignmentSchema, {
      replicaId: `vad.${number}.n1.0`,
      deployment: "vad",
      revision: number,
      template: { source: { case: "model", value: { model: "vad", version: String(number) } } },
      manifestDigest,
    });

  async function assign(generation: bigint, replicas: ReturnType<typeof replica>[]): Promise<void> {
    const assignment = create(AssignmentSchema, { nodeId: "n1", generation, replicas });
    const known = controller.assignments.get("n1");
    if (known === undefined) await controller.assignments.create("n1", assignment);
    else await controller.assignments.update("n1", assignment, known.revision);
  }

  async function route(generation: bigint, number: number): Promise<void> {
    const splits = [{ revision: number, basisPoints: 10_000 }];
    const value = create(RouteSchema, { deployment: "vad", generation, splits, windowMs: 250, stableRevision: number });
    const stored =
      revision === 0
        ? await controller.routes.create("vad", value)
        : await controller.routes.update("vad", value, revision);
    revision = stored.revision;
  }

  /** Version of the model that answers through the gateway. */
  async function answering(): Promise<string | undefined> {
    const response = await fetch(`http://${agent?.gatewayAddress}/v2/models/vad`).catch(() => undefined);
    if (response?.status !== 200) return undefined;
    const body = (await response.json()) as { versions?: string[] };
    return body.versions?.[0];
  }

  const ready = (count: number) =>
    waitFor(
      () => heartbeat?.replicas.filter(({ state }) => state === ReplicaState.READY).length === count,
      () => JSON.stringify(heartbeat?.replicas.map(({ state, message }) => [state, message])),
      20_000,
    );

  it("serves a model, and follows its route to another revision", async () => {
    const [v5, v6] = await Promise.all([push("silero_vad_v5.onnx"), push("silero_vad_v6.onnx")]);
    await assign(1n, [replica(1, v5)]);
    await route(1n, 1);
    await ready(1);
    expect(await waitFor(answering, () => "no answer")).toBe("1");
    await assign(2n, [replica(1, v5), replica(2, v6)]);
    await ready(2);
    expect(await answering()).toBe("1");
    await route(2n, 2);
    await waitFor(
      async () => (await answering()) === "2",
      () => "still on the old revision",
    );
    await waitFor(
      () => heartbeat?.routes[0]?.generation === 2n,
      () => `generation ${heartbeat?.routes[0]?.generation}`,
    );
  });

  it("keeps serving while the agent is away, also without its controller", async () => {
    await agent?.end("SIGKILL");
    expect(await answering()).toBe("2");
    await controller.testBus.nats.stop();
    agent = await spawnAgent(controller.dataDir);
    expect(await answering()).toBe("2");
    await controller.testBus.nats.start(new AbortController().signal);
    heartbeat = undefined;
    await ready(2);
    expect(heartbeat).toMatchObject({ replicas: [{ restarts: 0 }, { restarts: 0 }] });
  });
});
