import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { JobState } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { jobWhere } from "../../setup/runs.ts";
import { VOICE_MODEL, writeVoiceModel } from "../../setup/voice-model.ts";
import { waitFor } from "../../setup/wait-for.ts";

const examples = join(import.meta.dirname, "../../../packages/client/examples");

describe("the examples of the client", () => {
  let cluster: Cluster;
  const run = new Set<string>();

  beforeAll(async () => {
    cluster = await Cluster.start([{ name: "builder", labels: { role: "edge" } }]);
  });

  afterAll(() => cluster?.[Symbol.asyncDispose]());

  /** Runs an example to its end; what it printed. */
  async function example(name: string, args: readonly string[] = [], input = ""): Promise<string> {
    run.add(name);
    const child = spawn(process.execPath, [join(examples, name), ...args], { env: cluster.env });
    child.stdin.end(input);
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
    expect([child.exitCode, stderr]).toEqual([0, ""]);
    return stdout;
  }

  it("set a secret, submit a run that uses it, follow its logs, and approve", async () => {
    const listed = await example("set-secret.ts", ["GREETING", "sdk-examples"], "good evening");
    expect(listed).toBe("GREETING version 1, by admin\n");

    const submitted = example("submit.ts", [join(import.meta.dirname, "kedge.yaml"), "who=Ada = Lovelace"]);
    // Should it end early, that is what is wrong.
    const waits = waitFor("the run waits for a person", async () => {
      const { approvals } = await cluster.client.runs.listApprovals({});
      return approvals[0] === undefined ? { instead: approvals } : { value: approvals[0] };
    });
    const waiting = await Promise.race([waits, submitted.then((printed) => Promise.reject(new Error(printed)))]);
    const approved = await example("approve.ts", [waiting.runId, "as the example says"]);
    expect(approved).toBe(`${waiting.runId} ask: Go on?\napproved\n`);
    const lines = (await submitted).trimEnd().split("\n");
    expect(lines).toEqual([
      "greet/run-1 | hello Ada = Lovelace",
      "greet/run-1 | told 12 characters: ***",
      "ship/run-1 | shipped",
      `${waiting.runId} SUCCEEDED`,
    ]);
    const ask = await jobWhere(cluster, waiting.runId, "ask", ({ state }) => state === JobState.SUCCEEDED);
    expect(ask.decisions).toMatchObject([{ comment: "as the example says" }]);
  });

  it("deploy a model and watch its rollout", async () => {
    const folder = join(cluster.folder, "model");
    await writeVoiceModel(folder, { silero: "v5" });
    const told = await example("deploy-model.ts", [folder, VOICE_MODEL, "voice"]);
    expect(told).toContain(`${VOICE_MODEL} version 1\n`);
    expect(told).toContain("traffic [1: 100 %]");
    expect(told).toMatch(/^SUCCEEDED: /m);
    const { deployment } = await cluster.client.deployments.getDeployment({ name: "voice" });
    expect(deployment?.stableRevision).toBe(1);
  });

  it("list nodes and incidents", async () => {
    const { id } = cluster.node("builder");
    const told = await example("fleet.ts");
    expect(told).toMatch(new RegExp(`^${id} READY, [\\d.]+ cores free, labels .*"role":"edge"`, "m"));
    expect(told).toMatch(/^1 nodes, 0 open incidents$/m);
  });

  it("ramp a feature flag and tell why", async () => {
    expect(await example("flag.ts", ["new-voice", "0", "ann"])).toContain("ann has off: SPLIT");
    const all = await example("flag.ts", ["new-voice", "100", "ann"]);
    expect(all).toContain("new-voice generation 2\nann has on: SPLIT");
    const { evaluation } = await cluster.client.flags.explainFlag({
      name: "new-voice",
      attributes: { targetingKey: "bob" },
    });
    expect(evaluation?.variant).toBe("on");
  });

  it("are all run here", async () => {
    expect([...run].sort()).toEqual((await readdir(examples)).filter((name) => name.endsWith(".ts")).sort());
  });
});
