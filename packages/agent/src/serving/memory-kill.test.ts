import { create } from "@bufbuild/protobuf";
import { subscribeHeartbeats, subscribeWindows } from "@kedge/bus";
import {
  AssignmentSchema,
  ReplicaAssignmentSchema,
  type ReplicaExposure,
  ReplicaState,
  type ReplicaStatus,
  RouteSchema,
} from "@kedge/proto";
import { connectDocker, createImageStore } from "@kedge/runtime";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type RunningAgent, startAgent } from "../agent.ts";
import { ControllerFixture, waitFor } from "../testing/agent-fixture.ts";

const IMAGE = "kedge-agent-test:eater";
/** Serves for a while, then takes memory until the kernel ends it. */
const BUILD = `cp "$(command -v busybox)" .; echo hello > hello
cat > Dockerfile <<'END'
FROM scratch
COPY busybox /bin/busybox
COPY hello /www/v2/models/web/hello
CMD ["/bin/busybox", "sh", "-c", "/bin/busybox httpd -p 8080 -h /www; /bin/busybox sleep 4; exec /bin/busybox tail /dev/zero"]
END`;

let controller: ControllerFixture;
let agent: RunningAgent;
let replicas: readonly ReplicaStatus[] = [];
const exposures: ReplicaExposure[] = [];

beforeAll(async () => {
  controller = await ControllerFixture.start("n4-agent-test");
  subscribeHeartbeats(controller.testBus.bus, (heartbeat) => {
    replicas = heartbeat.replicas;
  });
  subscribeWindows(controller.testBus.bus, ({ revisions }) => {
    exposures.push(...revisions.flatMap(({ exposure }) => exposure ?? []));
  });
  agent = await startAgent(controller.options({ runtimes: ["process", "docker"] }));
}, 30_000);
afterAll(async () => {
  await agent?.stop({ endWork: true });
  await createImageStore({ docker: connectDocker() }).remove(IMAGE);
  await controller?.stop();
});

it("tells that a container was killed for its memory, and no exposure while it starts again", async () => {
  const { failure } = await controller.run("web-build", [
    { name: "prepare", action: { case: "run", value: { script: BUILD } } },
    { name: "build", action: { case: "build", value: { tags: [IMAGE] } } },
  ]);
  expect(failure).toBeUndefined();
  const { nodeId } = controller;
  const template = { port: 8080, healthPath: "/v2/models/web/hello", resources: { memoryMib: 32 } };
  const replica = create(ReplicaAssignmentSchema, {
    ...{ replicaId: "web.1.n1.0", deployment: "web", revision: 1 },
    template: { ...template, source: { case: "image", value: IMAGE } },
  });
  await controller.assignments.create(
    nodeId,
    create(AssignmentSchema, { nodeId, generation: 1n, replicas: [replica] }),
  );
  const route = {
    deployment: "web",
    generation: 1n,
    splits: [{ revision: 1, basisPoints: 10_000 }],
    windowMs: 100,
    stableRevision: 1,
  };
  await controller.routes.create("web", create(RouteSchema, route));
  await waitFor(
    () => replicas[0]?.state === ReplicaState.READY,
    () => `${replicas[0]?.state} ${replicas[0]?.message}`,
    30_000,
  );
  const killed = await waitFor(
    async () => {
      await fetch(`http://${agent.gatewayAddress}/v2/models/web/hello`).catch(() => {}); // It is gone for a moment.
      return exposures.find(({ restarts }) => restarts > 0);
    },
    () => JSON.stringify(exposures.at(-1)?.replicas),
    30_000,
  );
  expect(killed).toMatchObject({ replicas: 1, restarts: 1, oomKills: 1 });
  expect(exposures.some(({ readyMs }) => readyMs > 0n)).toBe(true);
}, 90_000);
