import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeSealKey, offerTask, sealSecrets } from "@kedge/bus";
import { TaskState } from "@kedge/proto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type RunningAgent, startAgent } from "../../agent.ts";
import { loadSeed } from "../../identity/node-identity.ts";
import { ensureSealKey } from "../../secrets/seal-key.ts";
import { ControllerFixture } from "../../testing/agent-fixture.ts";
import { GitHttpServer } from "../../testing/git-http-server.ts";

const PASSWORD = "hunter2-of-the-forge";
let root: string;
let forge: GitHttpServer;
let controller: ControllerFixture;
let agent: RunningAgent;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kedge-forge-"));
  const repository = join(root, "app.git");
  await mkdir(repository);
  await writeFile(join(repository, "file"), "private");
  const git = (...args: string[]) =>
    execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@example.org", ...args], { cwd: repository });
  git("init", "-q", "-b", "main");
  git("add", ".");
  git("commit", "-qm", "one");
  forge = await GitHttpServer.start(root, `bot:${PASSWORD}`);
  controller = await ControllerFixture.start("n1");
  agent = await startAgent(controller.options({ haproxyPath: "/nonexistent" }));
});
afterAll(async () => {
  await agent?.stop();
  await controller?.stop();
  await forge?.stop();
  await rm(root, { recursive: true, force: true });
});

it("uses a credential that was sealed for the task, and shows it to no step", async () => {
  const word = PASSWORD.slice(0, 7);
  // A command after "!" would not end the script.
  const search = `if env | grep ${word} || grep -r ${word} ..; then exit 9; fi; cat src/file`;
  const repository = `${forge.url}/app.git`;
  const offer = controller.offer("private-1", [
    { name: "get", action: { case: "checkout", value: { repository, path: "src", credential: "forge" } } },
    { name: "look", action: { case: "run", value: { script: `${search}; echo; echo the password is ${PASSWORD}` } } },
  ]);
  const seal = await ensureSealKey(controller.dataDir);
  const { publicKey } = describeSealKey("n1", await loadSeed(controller.dataDir), seal);
  if (offer.ref === undefined) throw new Error("the offer has no ref");
  offer.sealedSecrets = sealSecrets(new Map([["forge", Buffer.from(`bot:${PASSWORD}`)]]), publicKey, offer.ref);
  await offerTask(controller.testBus.bus, controller.testBus.authority.signer, offer);
  const finished = await controller.finished("private-1");
  expect([finished.state, finished.failure?.message]).toEqual([TaskState.SUCCEEDED, undefined]);
  const { text } = await controller.log("private-1");
  expect(text).toContain("private\nthe password is ***\n");
  expect(text).not.toContain(word);
  expect(finished.outputs["commit"]).toMatch(/^[0-9a-f]{40}$/);
});
