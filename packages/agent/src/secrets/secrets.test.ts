import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isSealKeyOf, offerTask, sealSecrets, subscribeHeartbeats } from "@kedge/bus";
import { FailureClass, type Heartbeat, type TaskOffer, TaskState } from "@kedge/proto";
import { afterEach, beforeEach, expect, it } from "vitest";
import { loadIdentity } from "../identity/node-identity.ts";
import { ControllerFixture, waitFor } from "../testing/agent-fixture.ts";
import { type AgentProcess, spawnAgent } from "../testing/spawn-agent.ts";
import { ensureSealKey } from "./seal-key.ts";
import { secretsFolder } from "./secrets-folder.ts";

const TOKEN = "s3cr3t-t0ken-9f2d";
const PEM = "-----BEGIN KEY-----\nbinary-ish ÿ\n-----END KEY-----\n";
const AS_VARIABLE = { secret: "deploy_token", env: "DEPLOY_TOKEN" };
const USES = [AS_VARIABLE, { secret: "key", file: "ssh/id" }];

const script = (name: string, text: string) => ({ name, action: { case: "run" as const, value: { script: text } } });
const digest = (text: string): string => createHash("sha256").update(text).digest("hex");
const DIGESTS =
  'printf %s "$DEPLOY_TOKEN" | sha256sum; sha256sum < "$KEDGE_SECRETS/ssh/id"; env | grep -c DEPLOY_TOKEN=';

let controller: ControllerFixture;
let agent: AgentProcess | undefined;
let beat: Heartbeat | undefined;

beforeEach(async () => {
  controller = await ControllerFixture.start("n1");
  beat = undefined;
  subscribeHeartbeats(controller.testBus.bus, (heartbeat) => {
    beat = heartbeat;
  });
});
afterEach(async () => {
  await agent?.end("SIGTERM");
  agent = undefined;
  await rm(dirname(folderOf("any")), { recursive: true, force: true });
  await controller.stop();
});

const tasksDir = (): string => join(controller.dataDir, "tasks");
const folderOf = (taskId: string): string => secretsFolder(join(tasksDir(), taskId));
const keyOfNode = async (): Promise<Uint8Array> => {
  const told = await waitFor(
    () => beat?.sealKey,
    () => "no heartbeat with a key",
  );
  return told.publicKey;
};

/** An offer with the job's secrets sealed to the key, for the task that `sealedFor` is. */
async function sealed(taskId: string, texts: readonly string[], sealedFor = taskId): Promise<TaskOffer> {
  const steps = texts.map((text, i) => script(`step-${i}`, text));
  const offer = controller.offer(taskId, steps, { secrets: USES });
  const values = new Map([
    ["deploy_token", Buffer.from(TOKEN)],
    ["key", Buffer.from(PEM)],
  ]);
  const { ref } = controller.offer(sealedFor, []);
  if (ref !== undefined) offer.sealedSecrets = sealSecrets(values, await keyOfNode(), ref);
  return offer;
}

const send = (offer: TaskOffer): Promise<void> =>
  offerTask(controller.testBus.bus, controller.testBus.authority.signer, offer);

/** Files below a folder that hold a text. */
async function filesWith(folder: string, text: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const found = await Promise.all(files.map(async (path) => (await readFile(path)).includes(text)));
  return files.filter((_, i) => found[i]);
}

it("gives them to the steps, and leaves nothing of them behind", async () => {
  agent = await spawnAgent(controller.dataDir);
  const go = join(controller.dataDir, "go");
  await send(await sealed("s-1", [`${DIGESTS}; while [ ! -e ${go} ]; do sleep 0.02; done`, DIGESTS]));
  const lines = `${digest(TOKEN)}  -\n${digest(PEM)}  -\n1\n`;
  await waitFor(
    async () => (await controller.log("s-1")).text === lines,
    () => `${controller.of("s-1").length} events`,
  );
  // The record and all else that outlives the agent have them sealed only; their files are not on the disk.
  expect(await filesWith(controller.dataDir, TOKEN)).toEqual([]);
  expect(await filesWith(controller.testBus.dir, TOKEN)).toEqual([]);
  const folder = folderOf("s-1");
  expect([(await stat(dirname(folder))).mode & 0o777, (await stat(join(folder, "ssh/id"))).mode & 0o777]).toEqual([
    0o700, 0o444,
  ]);
  await writeFile(go, "");
  expect((await controller.finished("s-1")).state).toBe(TaskState.SUCCEEDED);
  expect((await controller.log("s-1")).text).toBe(lines + lines);
  await waitFor(
    () => !existsSync(folder) && !existsSync(join(tasksDir(), "s-1")),
    () => folder,
  );
  expect(await filesWith(controller.dataDir, TOKEN)).toEqual([]);
});

it("tells a key that is proven to be the node's own", async () => {
  agent = await spawnAgent(controller.dataDir);
  await keyOfNode();
  const identity = await loadIdentity(controller.dataDir);
  const { sealKey } = beat ?? {};
  if (identity === undefined || sealKey === undefined) throw new Error("neither identity nor key");
  expect(isSealKeyOf("n1", identity.publicKey, sealKey)).toBe(true);
  expect(isSealKeyOf("n2", identity.publicKey, sealKey)).toBe(false);
  expect(isSealKeyOf("n1", identity.publicKey, { ...sealKey, publicKey: new Uint8Array(32).fill(9) })).toBe(false);
  expect(isSealKeyOf("n1", identity.publicKey, { ...sealKey, proof: new Uint8Array() })).toBe(false);
});

it("opens them again in an agent that takes the task up, without disturbing what runs", async () => {
  agent = await spawnAgent(controller.dataDir);
  const go = join(controller.dataDir, "go");
  const wait = `while [ ! -e ${go} ]; do sleep 0.02; done`;
  await send(await sealed("again-1", [`echo begun; ${wait}; sha256sum < "$KEDGE_SECRETS/ssh/id"`, DIGESTS]));
  await waitFor(
    async () => (await controller.log("again-1")).text.includes("begun"),
    () => `${controller.of("again-1").length} events`,
  );
  await agent?.end("SIGKILL");
  agent = await spawnAgent(controller.dataDir);
  await writeFile(go, "");
  expect((await controller.finished("again-1")).state).toBe(TaskState.SUCCEEDED);
  const lines = `${digest(TOKEN)}  -\n${digest(PEM)}  -\n1\n`;
  expect((await controller.log("again-1")).text).toBe(`begun\n${digest(PEM)}  -\n${lines}`);
});

it("sweeps those away that a killed agent left", async () => {
  agent = await spawnAgent(controller.dataDir);
  await send(await sealed("left-1", ["echo begun; sleep 60"]));
  await waitFor(
    async () => (await controller.log("left-1")).text.includes("begun"),
    () => `${controller.of("left-1").length} events`,
  );
  await agent?.end("SIGKILL");
  const stray = folderOf("stray-1");
  await mkdir(stray, { recursive: true });
  await writeFile(join(controller.dataDir, "lease"), "1000");
  agent = await spawnAgent(controller.dataDir);
  expect([existsSync(folderOf("left-1")), existsSync(stray)]).toEqual([false, false]);
});

it("leaves them no longer than the task when no agent comes back", async () => {
  agent = await spawnAgent(controller.dataDir, { leaseMs: 2000 });
  await send(await sealed("gone-1", ["echo begun; sleep 60"]));
  await waitFor(
    async () => (await controller.log("gone-1")).text.includes("begun"),
    () => `${controller.of("gone-1").length} events`,
  );
  expect(existsSync(folderOf("gone-1"))).toBe(true);
  await agent.end("SIGKILL");
  agent = undefined;
  await waitFor(
    () => !existsSync(folderOf("gone-1")),
    () => "they are still there",
  );
});

it("runs nothing with what was sealed for another task, or changed", async () => {
  agent = await spawnAgent(controller.dataDir);
  const other = await sealed("other-1", ["echo ran"], "another-1");
  await send(other);
  const changed = await sealed("changed-1", ["echo ran"]);
  changed.sealedSecrets[40] = (changed.sealedSecrets[40] ?? 0) ^ 1;
  await send(changed);
  const none = controller.offer("none-1", [script("one", "echo ran")], { secrets: USES });
  none.sealedSecrets = sealSecrets(new Map(), await keyOfNode(), controller.offer("none-1", []).ref ?? fail());
  await send(none);
  for (const [taskId, kind] of [
    ["other-1", FailureClass.INFRASTRUCTURE],
    ["changed-1", FailureClass.INFRASTRUCTURE],
    ["none-1", FailureClass.INVALID],
  ] as const) {
    const { state, failure } = await controller.finished(taskId);
    expect([state, failure?.class]).toEqual([TaskState.FAILED, kind]);
    expect((await controller.log(taskId)).text).not.toContain("ran");
  }
});

it("writes no secrets where somebody else could read them", async () => {
  agent = await spawnAgent(controller.dataDir);
  await keyOfNode();
  const root = dirname(folderOf("any"));
  await mkdir(root, { recursive: true });
  await chmod(root, 0o755);
  await send(await sealed("open-1", ["echo ran"]));
  expect((await controller.finished("open-1")).failure?.message).toContain("mode 0700");
  expect(await readdir(root)).toEqual([]);
});

it("takes a value that is no text as a file only", async () => {
  agent = await spawnAgent(controller.dataDir);
  const offer = controller.offer("bytes-1", [script("one", "echo ran")], { secrets: [AS_VARIABLE] });
  const values = new Map([["deploy_token", Buffer.from([0xff, 0, 1])]]);
  offer.sealedSecrets = sealSecrets(values, await keyOfNode(), offer.ref ?? fail());
  await send(offer);
  const { failure } = await controller.finished("bytes-1");
  expect([failure?.class, failure?.message]).toEqual([FailureClass.INVALID, expect.stringContaining("as a file")]);
});

it("keeps its key over restarts, and makes another when the file is damaged", async () => {
  const key = await ensureSealKey(controller.dataDir);
  expect((await stat(join(controller.dataDir, "seal.key"))).mode & 0o777).toBe(0o600);
  expect(await ensureSealKey(controller.dataDir)).toEqual(key);
  await writeFile(join(controller.dataDir, "seal.key"), "short");
  const next = await ensureSealKey(controller.dataDir);
  expect([next.byteLength, Buffer.from(next).equals(key)]).toEqual([32, false]);
});

function fail(): never {
  throw new Error("the offer has no ref");
}
