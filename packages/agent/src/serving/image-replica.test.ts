import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { create, fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { openStore, subscribeHeartbeats } from "@kedge/bus";
import {
  AssignmentSchema,
  FlagsSchema,
  FlagType,
  ReplicaAssignmentSchema,
  ReplicaState,
  type ReplicaStatus,
  RouteSchema,
} from "@kedge/proto";
import { connectDocker, createImageStore } from "@kedge/runtime";
import { LOGIN, RegistryServer } from "@kedge/runtime/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type RunningAgent, startAgent } from "../agent.ts";
import { ControllerFixture, waitFor } from "../testing/agent-fixture.ts";

/** Asks for a flag when it starts, and serves the answer. */
const START = `
ask=$KEDGE_FLAGS_URL/ofrep/v1/evaluate/flags/dark
/bin/busybox wget -q -O /www/v2/models/web/flag --post-data {} $ask
exec /bin/busybox httpd -f -p 8080 -h /www
`;
const DOCKERFILE = `
FROM scratch
COPY busybox /bin/busybox
COPY start /bin/start
COPY hello /www/v2/models/web/hello
CMD ["/bin/busybox", "sh", "/bin/start"]
`;

const images = createImageStore({ docker: connectDocker() });
let registry: RegistryServer;
let image: string;
let controller: ControllerFixture;
let agent: RunningAgent;
let replicas: readonly ReplicaStatus[] = [];
beforeAll(async () => {
  controller = await ControllerFixture.start("n3-agent-test");
  subscribeHeartbeats(controller.testBus.bus, (heartbeat) => {
    replicas = heartbeat.replicas;
  });
  const { bus, authority } = controller.testBus;
  const signing = { signer: authority.signer, audience: () => "*" };
  const flags = openStore(bus, { bucket: "flags", schema: FlagsSchema, signing });
  const dark = { name: "dark", type: FlagType.BOOLEAN, variants: { on: fromJson(ValueSchema, true) } };
  await flags.create("all", create(FlagsSchema, { flags: [{ ...dark, defaultVariant: "on" }] }));
  registry = await RegistryServer.start("basic");
  image = `${registry.host}/web:1`;
  const dockerConfig = join(controller.dataDir, "docker.json");
  const auth = Buffer.from(`${LOGIN.username}:${LOGIN.password}`).toString("base64");
  await writeFile(dockerConfig, JSON.stringify({ auths: { [registry.host]: { auth } } }));
  agent = await startAgent(controller.options({ runtimes: ["process", "docker"], dockerConfig }));
}, 30_000);
afterAll(async () => {
  await agent?.stop({ endWork: true });
  await images.remove(image);
  await registry[Symbol.asyncDispose]();
  await controller?.stop();
});

it("serves from a container of an image that the node logs in for, which reaches the node's feature flags", async () => {
  const write = (name: string, text: string): string => `cat > ${name} <<'END'${text}END`;
  const files = [write("Dockerfile", DOCKERFILE), write("start", START)];
  const prepare = ['cp "$(command -v busybox)" .', "echo hello > hello", ...files].join("\n");
  const { failure } = await controller.run("web-build", [
    { name: "prepare", action: { case: "run", value: { script: prepare } } },
    { name: "build", action: { case: "build", value: { tags: [image] } } },
  ]);
  expect(failure).toBeUndefined();
  // The node knows it only by its registry.
  await images.push(image, { signal: AbortSignal.timeout(30_000), logins: new Map([[registry.host, LOGIN]]) });
  await images.remove(image);
  const replica = create(ReplicaAssignmentSchema, {
    ...{ replicaId: "web.1.n1.0", deployment: "web", revision: 1 },
    template: {
      source: { case: "image", value: image },
      port: 8080,
      healthPath: "/v2/models/web/hello",
      resources: { memoryMib: 64, cpuMilli: 500 },
    },
  });
  const nodeId = controller.nodeId;
  await controller.assignments.create(
    nodeId,
    create(AssignmentSchema, { nodeId, generation: 1n, replicas: [replica] }),
  );
  const splits = [{ revision: 1, basisPoints: 10_000 }];
  const route = { deployment: "web", generation: 1n, splits, windowMs: 250, stableRevision: 1 };
  await controller.routes.create("web", create(RouteSchema, route));
  await waitFor(
    () => replicas[0]?.state === ReplicaState.READY,
    () => `${replicas[0]?.state} ${replicas[0]?.message}`,
    30_000,
  );
  const response = await fetch(`http://${agent.gatewayAddress}/v2/models/web/hello`);
  expect([response.status, await response.text()]).toEqual([200, "hello\n"]);
  const flag = await fetch(`http://${agent.gatewayAddress}/v2/models/web/flag`);
  expect(await flag.json()).toEqual({ key: "dark", value: true, variant: "on", reason: "STATIC" });
}, 60_000);
