import { offerTask } from "@kedge/bus";
import { silentLogger, systemClock } from "@kedge/kernel";
import {
  type GetModelRequest,
  ModelService,
  type PushModelRequest,
  Role,
  type TagModelRequest,
  TaskState,
} from "@kedge/proto";
import { createRpcServer, type RpcServer } from "@kedge/rpc";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type RunningAgent, startAgent } from "../agent.ts";
import { ControllerFixture } from "../testing/agent-fixture.ts";

let controller: ControllerFixture;
let agent: RunningAgent;
let registry: RpcServer;
const tokens: (string | undefined)[] = [];
const moved: string[] = [];
const parts: PushModelRequest["part"][] = [];
beforeAll(async () => {
  controller = await ControllerFixture.start("n1");
  const { serverCertificate, caPem } = controller.testBus.authority;
  const pushModel = async (requests: AsyncIterable<PushModelRequest>) => {
    for await (const { part } of requests) parts.push(part);
    return { version: { version: 7, digest: "d".repeat(64) }, existed: false };
  };
  const refuse = () => Promise.reject(new Error("not part of this test"));
  const getModel = ({ version }: GetModelRequest) => Promise.resolve({ version: { version: Number(version) || 3 } });
  const tagModel = (request: TagModelRequest) => {
    moved.push(`${request.model}:${request.version} ${request.tag}`);
    return Promise.resolve({});
  };
  const known: Readonly<Record<string, unknown>> = { pushModel, getModel, tagModel };
  const methods = ModelService.methods.map(({ localName }) => [localName, known[localName] ?? refuse]);
  registry = createRpcServer({
    address: "127.0.0.1:0",
    tls: { ...serverCertificate, caPem },
    services: [{ desc: ModelService, impl: Object.fromEntries(methods) }],
    authenticate: (token) => {
      tokens.push(token);
      return { name: "run", role: Role.VIEWER };
    },
    logger: silentLogger,
    clock: systemClock,
  });
  await registry.start(new AbortController().signal);
  agent = await startAgent(controller.options({ haproxyPath: "/nonexistent" }));
});
afterAll(async () => {
  await agent?.stop();
  await registry?.stop();
  await controller?.stop();
});

it("pushes a folder with the run's token, metrics and lineage", async () => {
  const script =
    "mkdir -p out/sub; printf weights > out/model.onnx; : > out/sub/empty; echo '{\"accuracy\":0.9}' > m.json";
  const offer = controller.offer("train-1", [
    { name: "train", metricsFile: "m.json", action: { case: "run", value: { script } } },
    { name: "push", action: { case: "model", value: { model: "vad", path: "out", tags: ["candidate"] } } },
  ]);
  offer.controllerAddress = `127.0.0.1:${registry.port}`;
  offer.runToken = "run-token";
  await offerTask(controller.testBus.bus, controller.testBus.authority.signer, offer);
  const finished = await controller.finished("train-1");
  expect(finished.failure).toBeUndefined();
  expect(finished.state).toBe(TaskState.SUCCEEDED);
  expect(finished.outputs).toEqual({ model: "vad", version: "7", digest: "d".repeat(64) });
  expect(tokens).toEqual(["run-token"]);
  const [header, ...files] = parts;
  expect(header).toMatchObject({
    case: "header",
    value: {
      ...{ model: "vad", tags: ["candidate"], metrics: { accuracy: 0.9 }, idempotencyKey: "train-1.1" },
      lineage: { runId: "run1", job: "train-1" },
    },
  });
  const contents = files.map((part) =>
    part.case === "file" ? [part.value.path, Buffer.from(part.value.data).toString("utf8")] : [],
  );
  expect(contents).toEqual([
    ["model.onnx", "weights"],
    ["sub/empty", ""],
  ]);
});

it("moves tags to a number, a tag's version, and the version that an output names", async () => {
  const tag = (name: string, version: string, tags: string[]) => ({
    name,
    action: { case: "tagModel" as const, value: { model: "vad", version, tags } },
  });
  const offer = controller.offer("tag-1", [
    { name: "pick", outputsFile: "o", action: { case: "run", value: { script: "echo best=12 > o; echo none= >> o" } } },
    ...[tag("number", "5", ["a", "b"]), tag("by-tag", "candidate", ["c"]), tag("by-output", "best", ["d"])],
    tag("empty", "none", ["e"]),
  ]);
  offer.controllerAddress = `127.0.0.1:${registry.port}`;
  offer.runToken = "tag-token";
  await offerTask(controller.testBus.bus, controller.testBus.authority.signer, offer);
  const finished = await controller.finished("tag-1");
  expect(moved).toEqual(["vad:5 a", "vad:5 b", "vad:3 c", "vad:12 d"]);
  expect(finished.outputs).toMatchObject({ model: "vad", version: "12" });
  expect(finished.failure?.message).toContain("the output with the version is empty");
  expect(tokens.at(-1)).toBe("tag-token");
});

it("refuses a folder outside the workspace", async () => {
  const finished = await controller.run("train-2", [
    { name: "push", action: { case: "model", value: { model: "vad", path: "../.." } } },
  ]);
  expect(finished.failure?.message).toContain("outside the workspace");
});
