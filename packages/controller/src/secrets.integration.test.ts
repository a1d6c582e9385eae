import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { EventService, FailureClass, JobState, Role, RunState, SecretService } from "@kedge/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ControllerHarness } from "./testing/controller-harness.ts";
import { eventually } from "./testing/eventually.ts";

const VALUE = "s3cr3t-value-7c1e";
const PASSWORD = "p4ssw0rd-0b5a";
const PIPELINE = `
name: shop
parameters:
  password: { type: secret }
  region: { default: region-of-the-run }
jobs:
  deploy:
    environment: production
    secrets: [token, { parameter: password, env: PASSWORD }]
    steps: [{ name: go, run: "echo \${{ parameters.region }}" }]
`;

let harness: ControllerHarness;

beforeEach(async () => {
  harness = await ControllerHarness.start();
});
afterEach(() => harness.stop());

const set = (name: string, environments: string[] = []) =>
  harness.secrets.setSecret({ name, value: Buffer.from(VALUE), scope: { environments } });
const submit = async (parameters: Record<string, string> = { password: PASSWORD }): Promise<string> => {
  const { run } = await harness.runs.submitRun({ pipeline: { case: "pipelineSource", value: PIPELINE }, parameters });
  return run?.id ?? "";
};

/** Files of the controller, and of the NATS server in its folder, that hold a text. */
async function filesWith(text: string): Promise<string[]> {
  const entries = await readdir(harness.dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const contents = await Promise.all(files.map((path) => readFile(path).catch(() => Buffer.alloc(0))));
  return files.filter((_, i) => contents[i]?.includes(text));
}

test("a job's node gets its secrets, and nobody else: not other nodes, not who reads the store, not the API", async () => {
  const agent = await harness.agent("n1");
  const other = await harness.agent("n2");
  await harness.nodes.cordonNode({ nodeId: "n2" });
  expect((await set("token", ["production"])).secret).toMatchObject({ version: 1, ciphertext: new Uint8Array() });
  // The offer stays in the stream for now.
  agent.claims = false;
  const waiting = await submit();
  await harness.until(waiting, ({ jobs }) => jobs[0]?.state === JobState.OFFERED);
  // What may be shown is found, so the search finds what is there.
  expect(await filesWith("region-of-the-run")).not.toEqual([]);
  for (const value of [VALUE, PASSWORD]) expect(await filesWith(value)).toEqual([]);

  await harness.runs.cancelRun({ runId: waiting });

  agent.claims = true;
  const ended = await harness.until(await submit());
  expect(ended.state).toBe(RunState.SUCCEEDED);
  const offer = agent.offers.at(-1);
  if (offer?.ref === undefined) throw new Error("no offer came");
  const { ref } = offer;
  expect(agent.secretsOf(offer, ref)).toEqual({ token: VALUE, "parameters.password": PASSWORD });
  expect(() => other.secretsOf(offer, ref)).toThrow("not sealed for it and this node");
  expect([ended.parameters["password"], ended.secretParameters]).toEqual(["***", ["password"]]);
  for (const value of [VALUE, PASSWORD]) expect(await filesWith(value)).toEqual([]);
  const listed = await harness.secrets.listSecrets({});
  expect(
    listed.secrets.map(({ name, ciphertext, wrappedKey }) => [name, ciphertext.length, wrappedKey.length]),
  ).toEqual([["token", 0, 0]]);
});

test("a job that may not have a secret fails, and says which and why; nothing is offered", async () => {
  const agent = await harness.agent("n1");
  await set("token", ["staging"]);
  const { jobs } = await harness.until(await submit());
  expect(jobs[0]?.failure).toMatchObject({
    class: FailureClass.INVALID,
    message: 'job deploy may not have secret token: it is for environments "staging", and the job\'s is "production"',
  });
  expect(agent.offers).toEqual([]);
});

test("a run that failed is retried with its secret parameters", async () => {
  const agent = await harness.agent("n1");
  await set("token");
  agent.script = () => ({ state: 5, failure: { class: FailureClass.EXIT_CODE, message: "exited with code 1" } });
  const runId = await submit();
  expect((await harness.until(runId)).state).toBe(RunState.FAILED);
  agent.script = () => ({ state: 4 });
  await harness.runs.retryRun({ runId });
  expect((await harness.until(runId)).state).toBe(RunState.SUCCEEDED);
  const [first, second] = agent.offers;
  if (first?.ref === undefined || second?.ref === undefined) throw new Error("two offers were expected");
  expect(agent.secretsOf(second, second.ref)).toEqual(agent.secretsOf(first, first.ref));
  // An attempt's secrets are of no use for another.
  const { ref } = second;
  expect(() => agent.secretsOf(first, ref)).toThrow("not sealed for it");
});

test("what is set and done is told, by whom, without values", async () => {
  const { token } = await harness.tokens.createToken({ name: "ann", role: Role.OPERATOR });
  const ann = harness.client(SecretService, token);
  await ann.setSecret({ name: "token", value: Buffer.from(VALUE) });
  await expect(ann.rotateKey({})).rejects.toMatchObject({ reason: "PERMISSION_DENIED" });
  const rotated = await harness.secrets.rotateKey({});
  expect(rotated.rewrapped).toBe(1);
  await ann.deleteSecret({ name: "token" });
  const said = await eventually(
    async () => {
      const lines: string[] = [];
      const events = harness.client(EventService).watchEvents({ kind: "secret", history: 100, noFollow: true });
      for await (const { event } of events) lines.push(`${event?.reason} ${event?.name}: ${event?.message}`);
      return lines;
    },
    (lines) => lines.length === 3,
  );
  expect(said).toEqual([
    "SecretSet token: version 1, everywhere, by ann",
    `SecretKeyRotated key: key ${rotated.keyId} is in use, for 1 secrets anew, by admin`,
    "SecretDeleted token: by ann",
  ]);
});

test("secrets outlive the controller; without their key jobs that ask for one fail, and nothing else", async () => {
  const agent = await harness.agent("n1");
  await set("token");
  await harness.stopController({ keepNats: true });
  await harness.startController();
  expect((await harness.until(await submit())).state).toBe(RunState.SUCCEEDED);
  expect(agent.offers).toHaveLength(1);
  await rm(join(harness.dir, "secrets.key"));
  await expect(submit()).rejects.toMatchObject({ reason: "SECRET_KEY_LOST" });
  await expect(set("another")).rejects.toMatchObject({ reason: "SECRET_KEY_LOST" });
  const plain = await harness.submit("name: p\njobs:\n  work:\n    steps: [{ name: go, run: 'true' }]\n");
  expect((await harness.until(plain.id)).state).toBe(RunState.SUCCEEDED);
  const asking = await harness.submit(
    "name: p\njobs:\n  work:\n    secrets: [token]\n    steps: [{ name: go, run: 'true' }]\n",
  );
  expect((await harness.until(asking.id)).jobs[0]?.failure).toMatchObject({
    class: FailureClass.INVALID,
    message: expect.stringContaining("which is not here"),
  });
});
