import { create, fromJson, toBinary } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { createSigner, openStore, type Store, subjects } from "@kedge/bus";
import {
  AssignmentSchema,
  FlagSchema,
  type Flags,
  FlagsSchema,
  FlagType,
  ReplicaAssignmentSchema,
  RouteSchema,
  SignedSchema,
} from "@kedge/proto";
import { createUser } from "@nats-io/nkeys";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningAgent, startAgent } from "../agent.ts";
import { ControllerFixture, waitFor } from "../testing/agent-fixture.ts";
import { pushVoiceModel } from "../testing/pushed-model.ts";

/** Labels every answer with what the flag says. */
const HANDLER = `
export function postprocess(response, context) {
  context.label(context.flags.string("ranker", "builtin", { targetingKey: "ann" }));
  return response;
}`;
const FRAME = {
  inputs: [
    { name: "input", datatype: "FP32", shape: [1, 512], data: new Array(512).fill(0) },
    { name: "state", datatype: "FP32", shape: [2, 1, 128], data: new Array(256).fill(0) },
    { name: "sr", datatype: "INT64", shape: [], data: [16_000] },
  ],
};

function flagsOf(value: string, generation: bigint): Flags {
  const variants = { v: fromJson(ValueSchema, value) };
  const flag = create(FlagSchema, { name: "ranker", type: FlagType.STRING, variants, defaultVariant: "v" });
  return create(FlagsSchema, { flags: [flag], generation });
}

describe("feature flags on a node", () => {
  let controller: ControllerFixture;
  let agent: RunningAgent;
  let store: Store<typeof FlagsSchema>;
  const stop = new AbortController();
  beforeAll(async () => {
    controller = await ControllerFixture.start("n1");
    const { bus, authority } = controller.testBus;
    const signing = { signer: authority.signer, audience: () => "*" };
    store = openStore(bus, { bucket: "flags", schema: FlagsSchema, signing });
    await store.start(stop.signal);
    agent = await startAgent(controller.options());
  });
  afterAll(async () => {
    stop.abort();
    await agent.stop({ endWork: true });
    await controller.stop();
  });

  async function put(value: string): Promise<void> {
    const stored = store.get("all");
    const flags = flagsOf(value, (stored?.value.generation ?? 0n) + 1n);
    await (stored === undefined ? store.create("all", flags) : store.update("all", flags, stored.revision));
  }

  /** What a program gets that asks the node. */
  async function asked(): Promise<unknown> {
    const response = await fetch(`${agent.flagsUrl}/ofrep/v1/evaluate/flags/ranker`, { method: "POST", body: "{}" });
    return Reflect.get(Object(await response.json()), "value");
  }

  /** What the model's handler got, through the gateway. */
  async function handled(): Promise<string | null> {
    const url = `http://${agent.gatewayAddress}/v2/models/vad/infer`;
    const response = await fetch(url, { method: "POST", body: JSON.stringify(FRAME) });
    await response.arrayBuffer();
    return response.headers.get("kedge-prediction");
  }

  const untilAsked = (value: string) =>
    waitFor(
      async () => (await asked()) === value,
      () => `not ${value}`,
    );
  const untilHandled = (value: string) =>
    waitFor(
      async () => (await handled()) === value,
      () => `not ${value}`,
      20_000,
    );

  async function serveModel(): Promise<void> {
    const manifestDigest = await pushVoiceModel(controller, "silero_vad_v5.onnx", { "handler.mjs": HANDLER });
    const replica = create(ReplicaAssignmentSchema, {
      ...{ replicaId: "vad.1.n1.0", deployment: "vad", revision: 1, manifestDigest },
      template: { source: { case: "model", value: { model: "vad", version: "1" } } },
    });
    await controller.assignments.create("n1", create(AssignmentSchema, { nodeId: "n1", replicas: [replica] }));
    const splits = [{ revision: 1, basisPoints: 10_000 }];
    const route = create(RouteSchema, { deployment: "vad", generation: 1n, splits, windowMs: 250, stableRevision: 1 });
    await controller.routes.create("vad", route);
  }

  it("reach programs and a running model's handler, change after change", async () => {
    await serveModel();
    await untilHandled("builtin");
    await put("bm25");
    await Promise.all([untilAsked("bm25"), untilHandled("bm25")]);
    await put("cross-encoder");
    await Promise.all([untilAsked("cross-encoder"), untilHandled("cross-encoder")]);
  });

  it("reach the steps of a job", async () => {
    const script = 'busybox wget -qO- --post-data {} "$KEDGE_FLAGS_URL/ofrep/v1/evaluate/flags/ranker"';
    const { failure } = await controller.run("asks", [{ name: "ask", action: { case: "run", value: { script } } }]);
    expect(failure).toBeUndefined();
    expect((await controller.log("asks")).text).toContain('"value":"cross-encoder"');
  });

  it("are not taken from anybody but the controller", async () => {
    const { bus, authority } = controller.testBus;
    const forged = createSigner(createUser().getSeed()).sign(FlagsSchema, flagsOf("forged", 99n), "*");
    const addressed = authority.signer.sign(FlagsSchema, flagsOf("for another node", 99n), "n2");
    const genuine = authority.signer.sign(FlagsSchema, flagsOf("genuine", 3n), "*");
    for (const document of [forged, addressed, genuine]) {
      await bus.jetstream.publish(subjects.kv("flags", "all"), toBinary(SignedSchema, document));
    }
    const seen = new Set<unknown>();
    const look = async (): Promise<boolean> => {
      const both = [await asked(), await handled()];
      for (const value of both) seen.add(value);
      return both.every((value) => value === "genuine");
    };
    // The genuine one came last: by then the others were looked at.
    await waitFor(look, () => [...seen].join());
    expect([...seen].filter((value) => value !== "cross-encoder")).toEqual(["genuine"]);
  });

  it("stay at their address, with what was last known, through a restart without controller", async () => {
    const { flagsUrl } = agent;
    await controller.testBus.nats.stop();
    await agent.stop();
    expect(await fetch(flagsUrl).catch(() => "refused")).toBe("refused");
    agent = await startAgent(controller.options());
    expect(agent.flagsUrl).toBe(flagsUrl);
    expect([await asked(), await handled()]).toEqual(["genuine", "genuine"]);
    await controller.testBus.nats.start(stop.signal);
  });
});
