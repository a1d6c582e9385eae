import { offerTask } from "@kedge/bus";
import { silentLogger, systemClock } from "@kedge/kernel";
import { ModelService, type PushModelRequest, Role, TaskState } from "@kedge/proto";
import { createRpcServer, type RpcServer } from "@kedge/rpc";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type RunningAgent, startAgent } from "../agent.ts";
import { ControllerFixture } from "../testing/agent-fixture.ts";

let controller: ControllerFixture;
let agent: RunningAgent;
let registry: RpcServer;
const tokens: (string | undefined)[] = [];
const parts: PushModelRequest["part"][] = [];
beforeAll(async () => {
  controller = await ControllerFixture.start("n1");
  const { serverCertificate, caPem } = controller.testBus.authority;
  const pushModel = async (requests: AsyncIterable<PushModelRequest>) => {
    for await (const { part } of requests) parts.push(part);
    return { version: { version: 7, digest: "d".repeat(64) }, existed: false };
  };
  const refuse = () => Promise.reject(new Error("not part of this test"));
  const methods = ModelService.methods.map(({ localName }) => [
    localName,
    localName === "pushModel" ? pushModel : refuse,
  ]);
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

it("refuses a folder outside the workspace", async () => {
  const finished = await controller.run("train-2", [
    { name: "push", action: { case: "model", value: { model: "vad", path: "../.." } } },
  ]);
  expect(finished.failure?.message).toContain("outside the workspace");
});
