import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describeSealKey, offerTask, sealSecrets } from "@kedge/bus";
import { TaskState } from "@kedge/proto";
import { connectDocker, createImageStore } from "@kedge/runtime";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type RunningAgent, startAgent } from "../agent.ts";
import { loadSeed } from "../identity/node-identity.ts";
import { ControllerFixture, waitFor } from "../testing/agent-fixture.ts";
import { ensureSealKey } from "./seal-key.ts";
import { secretsFolder, secretsRoot } from "./secrets-folder.ts";

const IMAGE = "kedge-agent-test:secrets";
const VALUE = "s3cr3t-in-c0ntainer";
const SECRETS = [
  { secret: "token", env: "TOKEN" },
  { secret: "token", file: "deep/token" },
];

const docker = connectDocker();
let controller: ControllerFixture;
let agent: RunningAgent;

beforeAll(async () => {
  controller = await ControllerFixture.start("n1-secret-test");
  const runtimes = ["process", "docker"] as const;
  agent = await startAgent(controller.options({ runtimes, haproxyPath: "/nonexistent" }));
  const dockerfile = "FROM scratch\\nCOPY busybox /bin/busybox\\nCOPY busybox /bin/sh\\nUSER 4242\\n";
  const prepare = `cp /bin/busybox . || cp "$(command -v busybox)" .; printf '${dockerfile}' > Dockerfile`;
  const built = await controller.run("build-secret", [
    { name: "prepare", action: { case: "run", value: { script: prepare } } },
    { name: "build", action: { case: "build", value: { tags: [IMAGE] } } },
  ]);
  expect(built.failure).toBeUndefined();
});
afterAll(async () => {
  await agent?.stop();
  await createImageStore({ docker }).remove(IMAGE);
  if (controller !== undefined)
    await rm(secretsRoot(join(controller.dataDir, "tasks")), { recursive: true, force: true });
  await controller?.stop();
});

/** What the engine tells of a running container of the task. */
async function inspected(taskId: string): Promise<string> {
  const filters = JSON.stringify({ label: [`kedge.task=${taskId}`] });
  const found = await waitFor(
    async () => (await docker.listContainers({ filters }))[0],
    () => `no container of ${taskId}`,
  );
  return JSON.stringify(await docker.getContainer(found.Id).inspect());
}

it("are in the job's container alone, for whatever user it runs as, and can only be read", async () => {
  const script = [
    "B=/bin/busybox",
    "$B id -u",
    'printf %s "$TOKEN" | $B sha256sum',
    '$B sha256sum < "$KEDGE_SECRETS/deep/token"',
    '(echo x > "$KEDGE_SECRETS/deep/token") 2>/dev/null || echo "read only"',
    "$B sleep 2",
  ].join("\n");
  const offer = controller.offer(
    "secret-1",
    [{ name: "use", action: { case: "run", value: { image: IMAGE, script } } }],
    {
      secrets: SECRETS,
    },
  );
  const { dataDir } = controller;
  const { publicKey } = describeSealKey("n1-secret-test", await loadSeed(dataDir), await ensureSealKey(dataDir));
  if (offer.ref === undefined) throw new Error("the offer has no ref");
  offer.sealedSecrets = sealSecrets(new Map([["token", Buffer.from(VALUE)]]), publicKey, offer.ref);
  const other = controller.offer("plain-1", [
    { name: "use", action: { case: "run", value: { image: IMAGE, script: "/bin/busybox sleep 2" } } },
  ]);
  const { bus, authority } = controller.testBus;
  for (const each of [offer, other]) await offerTask(bus, authority.signer, each);
  // What is a variable, the engine knows, of this container; of the file it knows the place.
  expect((await inspected("secret-1")).split(VALUE)).toHaveLength(2);
  expect(await inspected("plain-1")).not.toContain(VALUE);
  expect((await controller.finished("secret-1")).state).toBe(TaskState.SUCCEEDED);
  const digest = createHash("sha256").update(VALUE).digest("hex");
  expect((await controller.log("secret-1")).text).toBe(`4242\n${digest}  -\n${digest}  -\nread only\n`);
  await controller.finished("plain-1");
  await waitFor(
    () => !existsSync(secretsFolder(join(dataDir, "tasks", "secret-1"))),
    () => "the secrets are still there",
  );
});
