import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describeSealKey, openSecrets } from "@kedge/bus";
import { secureBytes, systemClock } from "@kedge/kernel";
import {
  HeartbeatSchema,
  type Job,
  JobSchema,
  type JobSpecSchema,
  NodeSchema,
  ParameterSchema,
  ParameterType,
  type Run,
  RunSchema,
  RunState,
  type SealKey,
  SecretScopeSchema,
  type TaskRefFull,
  TaskRefFullSchema,
} from "@kedge/proto";
import { createUser } from "@nats-io/nkeys";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { NodeRegistry, refreshNode } from "../nodes/registry.ts";
import { startTestStores, type TestStores } from "../testing/test-stores.ts";
import { JobSecrets, secretNames } from "./job-secrets.ts";
import { KeyFile } from "./key-file.ts";
import {
  assertParametersKept,
  collectRunSecrets,
  copyParameters,
  KEPT_AFTER_END_MS,
  keepParameters,
  splitParameters,
} from "./run-secrets.ts";
import { SecretVault } from "./secret-vault.ts";

const node = { user: createUser(), secret: secureBytes(32) };
const otherSecret = secureBytes(32);

let world: TestStores;
let dir: string;
let vault: SecretVault;
let secrets: JobSecrets;

beforeAll(async () => {
  world = await startTestStores();
});
afterAll(() => world.stop());
beforeEach(async () => {
  const { stores } = world;
  dir = await mkdtemp(join(tmpdir(), "kedge-secrets-"));
  vault = new SecretVault({ stores, keyFile: new KeyFile(join(dir, "secrets.key")), clock: systemClock });
  secrets = new JobSecrets({ stores, registry: new NodeRegistry(stores, systemClock), vault });
  const sealKey = describeSealKey("n1", node.user.getSeed(), node.secret);
  await stores.nodes.create("n1", create(NodeSchema, { id: "n1", publicKey: node.user.getPublicKey(), sealKey }));
});
afterEach(async () => {
  const { nodes, secrets: named, runSecrets, runs } = world.stores;
  for (const store of [nodes, named, runSecrets, runs]) {
    for (const [key] of [...store.entries()]) await store.delete(key);
  }
  await rm(dir, { recursive: true, force: true });
});

const put = (key: string, scope: MessageInitShape<typeof SecretScopeSchema> = {}) =>
  vault.set({ key, value: Buffer.from(`value of ${key}`), scope: create(SecretScopeSchema, scope), by: "ann" });
const jobWith = (spec: MessageInitShape<typeof JobSpecSchema>): Job =>
  create(JobSchema, { spec: { name: "j", ...spec } });
const asks = (...names: string[]): Job => jobWith({ secrets: names.map((secret) => ({ secret, env: secret })) });
const run = (init: MessageInitShape<typeof RunSchema> = {}): Run =>
  create(RunSchema, { id: "run1", pipeline: "shop", ...init });
const ref = create(TaskRefFullSchema, { nodeId: "n1", taskId: "run1-j-1", fence: 1, runId: "run1", job: "j" });
const opened = (sealed: Uint8Array, key = node.secret, of: TaskRefFull = ref): Record<string, string> =>
  Object.fromEntries([...openSecrets(sealed, key, of)].map(([name, value]) => [name, Buffer.from(value).toString()]));

test("a job asks for its own secrets and those of its steps, each once", () => {
  const step = (secret: string) => ({
    name: secret,
    action: { case: "build" as const, value: { secrets: [{ id: "npm", secret }] } },
  });
  const checkout = { name: "c", action: { case: "checkout" as const, value: { credential: "git" } } };
  const spec = jobWith({
    secrets: [
      { secret: "token", env: "A" },
      { secret: "token", file: "b" },
    ],
    work: { case: "steps", value: { steps: [checkout, step("npm"), step("token")] } },
    post: [{ step: step("late") }],
  }).spec;
  expect(spec === undefined ? [] : secretNames(spec)).toEqual(["token", "git", "npm", "late"]);
});

describe("an attempt", () => {
  test("gets what it asks for and no more, sealed for its node and itself", async () => {
    await put("token", { pipelines: ["shop"] });
    await put("unasked");
    await vault.setOfRun("run1", "password", { value: Buffer.from("of the run"), by: "ann" });
    const sealed = await secrets.sealFor(run(), asks("token", "parameters.password"), ref);
    expect(Buffer.from(sealed).includes("value of")).toBe(false);
    expect(opened(sealed)).toEqual({ token: "value of token", "parameters.password": "of the run" });
    expect(() => opened(sealed, otherSecret)).toThrow("not sealed for it and this node");
    const refs = [{ fence: 2 }, { nodeId: "n2" }, { taskId: "run1-j-2" }, { runId: "run2" }, { job: "k" }];
    for (const other of refs) {
      expect(() => opened(sealed, node.secret, { ...ref, ...other })).toThrow("not sealed for it and this node");
    }
    expect((await secrets.sealFor(run(), asks(), ref)).byteLength).toBe(0);
  });

  test("gets none at all when one is not for it", async () => {
    await put("token");
    await put("production", { environments: ["production"] });
    const refused = secrets.sealFor(run(), asks("token", "production"), ref);
    await expect(refused).rejects.toMatchObject({ reason: "SECRET_OUT_OF_SCOPE", retryable: false });
    await expect(refused).rejects.toThrow(
      'job j may not have secret production: it is for environments "production", and the job\'s is none',
    );
    await expect(secrets.sealFor(run(), asks("tokem"), ref)).rejects.toMatchObject({
      ...{ reason: "SECRET_NOT_FOUND", hint: "did you mean token?" },
    });
    // Of another run that is.
    await vault.setOfRun("run2", "password", { value: Buffer.from("of the other"), by: "ann" });
    await expect(secrets.sealFor(run(), asks("parameters.password"), ref)).rejects.toMatchObject({
      reason: "SECRET_NOT_FOUND",
    });
  });

  test("gets none for a commit from a fork until somebody has approved just that", async () => {
    await put("token");
    const source = { fork: true, commit: "c2" };
    const asked = (init: Run) => secrets.sealFor(init, asks("token"), ref);
    const approved = (commit: string) => run({ source, decision: { approved: true, commit } });
    await expect(asked(run({ source }))).rejects.toThrow("is from a fork, and nobody has approved it");
    await expect(asked(approved("c1"))).rejects.toThrow("nobody has approved it");
    expect(opened(await asked(approved("c2")))).toEqual({ token: "value of token" });
  });

  test("gets none on a node that proved no key as its own", async () => {
    await put("token");
    const stored = world.stores.nodes.get("n1");
    const publicKey = node.user.getPublicKey();
    const forged = describeSealKey("n1", createUser().getSeed(), otherSecret);
    for (const sealKey of [undefined, forged, { ...forged, publicKey: new Uint8Array(31) }]) {
      const next = create(NodeSchema, { id: "n1", publicKey, ...(sealKey && { sealKey }) });
      await world.stores.nodes.update("n1", next, world.stores.nodes.get("n1")?.revision ?? stored?.revision ?? 0);
      await expect(secrets.sealFor(run(), asks("token"), ref)).rejects.toThrow("n1 told no key");
    }
  });
});

test("a node's document keeps only a key that its nkey has signed", () => {
  const publicKey = node.user.getPublicKey();
  const known = create(NodeSchema, { id: "n1", publicKey, agentVersion: "test" });
  const own = describeSealKey("n1", node.user.getSeed(), node.secret);
  const told = (sealKey: SealKey) =>
    refreshNode(known, create(HeartbeatSchema, { nodeId: "n1", agentVersion: "test", capacity: {}, sealKey }))?.sealKey;
  expect(told(own)).toEqual(own);
  for (const lie of [
    describeSealKey("n1", createUser().getSeed(), node.secret),
    describeSealKey("n2", node.user.getSeed(), node.secret),
    { ...own, proof: new Uint8Array(100_000) },
    { ...own, publicKey: new Uint8Array(100_000) },
    { ...own, $unknown: [{ no: 9, wireType: 2, data: new Uint8Array(100_000) }] },
  ]) {
    expect(told(lie)).toBeUndefined();
  }
});

describe("secret parameters", () => {
  const declared = [
    create(ParameterSchema, { name: "password", type: ParameterType.SECRET }),
    create(ParameterSchema, { name: "region", type: ParameterType.STRING }),
  ];

  test("are kept apart from those that are shown", async () => {
    const { shown, secret } = splitParameters(declared, { password: "hunter22", region: "eu" });
    expect([shown, [...secret]]).toEqual([{ password: "***", region: "eu" }, [["password", "hunter22"]]]);
    await keepParameters(vault, "run1", { secret, by: "ann" });
    expect(Buffer.from(await vault.valueOfRun("run1", "password")).toString()).toBe("hunter22");
    const empty = { secret: new Map([["password", ""]]), by: "ann" };
    await expect(keepParameters(vault, "run1", empty)).rejects.toMatchObject({ field: "parameters.password" });
  });

  test("go along with a run that repeats another", async () => {
    const before = run({ secretParameters: ["password"] });
    await vault.setOfRun("run1", "password", { value: Buffer.from("hunter22"), by: "ann" });
    await copyParameters(vault, before, { id: "run2", submittedBy: "bob" });
    expect(Buffer.from(await vault.valueOfRun("run2", "password")).toString()).toBe("hunter22");
    expect(world.stores.runSecrets.get("run2.password")?.value.updatedBy).toBe("bob");
  });

  test.each([
    ["while the run goes on", RunState.RUNNING, 10 * KEPT_AFTER_END_MS, true],
    ["for a day after a failure", RunState.FAILED, KEPT_AFTER_END_MS - 1000, true],
    ["no longer", RunState.FAILED, KEPT_AFTER_END_MS + 1000, false],
    ["not after a success", RunState.SUCCEEDED, 0, false],
  ])("are kept %s", async (_, state, afterMs, isKept) => {
    const endedMs = systemClock.now();
    const before = run({ state, secretParameters: ["password"], finishedAt: timestampFromMs(endedMs) });
    await world.stores.runs.create("run1", before);
    await vault.setOfRun("run1", "password", { value: Buffer.from("hunter22"), by: "ann" });
    await collectRunSecrets(world.stores, { ...systemClock, now: () => endedMs + afterMs });
    expect(world.stores.runSecrets.size).toBe(isKept ? 1 : 0);
    if (isKept) assertParametersKept(world.stores, before);
    else
      expect(() => assertParametersKept(world.stores, before)).toThrow(
        "parameter password of run run1 is no longer kept",
      );
  });

  test("of a run that was never stored are forgotten, not those of one about to be", async () => {
    await vault.setOfRun("run1", "password", { value: Buffer.from("hunter22"), by: "ann" });
    await collectRunSecrets(world.stores, systemClock);
    expect(world.stores.runSecrets.size).toBe(1);
    await collectRunSecrets(world.stores, { ...systemClock, now: () => systemClock.now() + 3_600_000 });
    expect(world.stores.runSecrets.size).toBe(0);
  });
});
