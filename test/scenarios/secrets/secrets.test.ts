import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FailureClass, RunState } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { kedge } from "../../setup/kedge.ts";
import { ended, job, jobStates, outcome } from "../../setup/runs.ts";

const TOKEN = "t0ken-of-production-51c";
const KEY = "-----BEGIN KEY-----\nline-one-of-the-key\nline-two-of-the-key\n-----END KEY-----\n";
const PASSWORD = "p4ssw0rd-of-the-run";
const VALUES = [TOKEN, "line-one-of-the-key", PASSWORD];

describe("secrets", () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start([{ name: "builder" }]);
  });

  afterAll(() => cluster?.[Symbol.asyncDispose]());

  const command = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await kedge(cluster.env, ...args);
    expect([code, stderr]).toEqual([0, expect.any(String)]);
    return stdout;
  };
  /** A file outside the cluster's own folders, whose name goes with the test's. */
  const fileWith = async (name: string, text: string): Promise<string> => {
    const path = join(cluster.folder, name);
    await writeFile(path, text);
    return path;
  };

  it("reach the job that may have them, and nothing that is kept", async () => {
    const files = [await fileWith("token", TOKEN), await fileWith("key", KEY), await fileWith("password", PASSWORD)];
    const [token = "", key = "", password = ""] = files;
    await command("secret", "set", "DEPLOY_TOKEN", "--from-file", token, "--environment", "production");
    await command("secret", "set", "ssh_key", "--from-file", key, "--pipeline", "shop");
    const source = join(import.meta.dirname, "kedge.yaml");
    const submitted = await command("run", "submit", "--json", "-f", source, "--param-file", `password=${password}`);
    const run = await ended(cluster, JSON.parse(submitted).run.id);
    expect(jobStates(run), outcome(run)).toEqual({ deploy: "SUCCEEDED", elsewhere: "FAILED" });
    expect(run.state).toBe(RunState.FAILED);
    expect(job(run, "deploy").outputs).toEqual({
      digest: createHash("sha256")
        .update(TOKEN + PASSWORD)
        .digest("hex"),
      leak: "***",
    });
    expect(job(run, "elsewhere").failure).toMatchObject({
      class: FailureClass.INVALID,
      message: expect.stringContaining('it is for environments "production", and the job\'s is none'),
    });
    const log = await command("logs", run.id);
    expect(log).toContain("token ***, password ***");
    for (const value of [...VALUES, Buffer.from(TOKEN).toString("base64")]) expect(log).not.toContain(value);
    // Nothing of it on any disk: not the store, the logs of the processes, the node's records.
    expect(await filesWith(cluster.folder, VALUES)).toEqual(files.toSorted());
    expect(await command("events", "--json")).toContain("SecretSet");
  });

  it("are there again after the key was changed and everything was killed", async () => {
    await command("secret", "rotate-key");
    await cluster.controller.kill("SIGKILL");
    await cluster.node("builder").agent.kill("SIGKILL");
    cluster.controller.restart();
    cluster.node("builder").agent.restart();
    await cluster.readyNode("builder");
    const source = join(import.meta.dirname, "kedge.yaml");
    const password = join(cluster.folder, "password");
    const submitted = await command("run", "submit", "--json", "-f", source, "--param-file", `password=${password}`);
    const run = await ended(cluster, JSON.parse(submitted).run.id);
    expect(job(run, "deploy").outputs["digest"], outcome(run)).toBe(
      createHash("sha256")
        .update(TOKEN + PASSWORD)
        .digest("hex"),
    );
  });
});

/** Files below a folder that hold any of the texts, sorted. */
async function filesWith(folder: string, texts: readonly string[]): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const found = await Promise.all(
    files.map(async (path) => {
      const content = await readFile(path).catch(() => Buffer.alloc(0)); // Gone meanwhile.
      return texts.some((text) => content.includes(text));
    }),
  );
  return files.filter((_, i) => found[i]).toSorted();
}
