import { create } from "@bufbuild/protobuf";
import { subscribeHeartbeats } from "@kedge/bus";
import { AssignmentSchema, ReplicaAssignmentSchema, ReplicaState, type ReplicaStatus, RouteSchema } from "@kedge/proto";
import { connectDocker, createImageStore } from "@kedge/runtime";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type RunningAgent, startAgent } from "../agent.ts";
import { ControllerFixture, waitFor } from "../testing/agent-fixture.ts";

const IMAGE = "kedge-agent-test:web";
const DOCKERFILE = [
  "FROM scratch",
  "COPY busybox /bin/busybox",
  "COPY hello /www/v2/models/web/hello",
  'CMD [\\"/bin/busybox\\", \\"httpd\\", \\"-f\\", \\"-p\\", \\"8080\\", \\"-h\\", \\"/www\\"]',
].join("\\\\n");

let controller: ControllerFixture;
let agent: RunningAgent;
let replicas: readonly ReplicaStatus[] = [];
beforeAll(async () => {
  controller = await ControllerFixture.start("n3-agent-test");
  subscribeHeartbeats(controller.testBus.bus, (heartbeat) => {
    replicas = heartbeat.replicas;
  });
  agent = await startAgent(controller.options({ runtimes: ["process", "docker"] }));
}, 30_000);
afterAll(async () => {
  await agent?.stop({ endWork: true });
  await createImageStore({ docker: connectDocker() }).remove(IMAGE);
  await controller?.stop();
});

it("serves from a container", async () => {
  const prepare = `cp "$(command -v busybox)" .; echo hello > hello; printf "${DOCKERFILE}\\n" > Dockerfile`;
  const { failure } = await controller.run("web-build", [
    { name: "prepare", action: { case: "run", value: { script: prepare } } },
    { name: "build", action: { case: "build", value: { tags: [IMAGE] } } },
  ]);
  expect(failure).toBeUndefined();
  const replica = create(ReplicaAssignmentSchema, {
    ...{ replicaId: "web.1.n1.0", deployment: "web", revision: 1 },
    template: {
      source: { case: "image", value: IMAGE },
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
}, 60_000);
