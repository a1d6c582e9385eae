import { join } from "node:path";
import { RolloutState, RunState } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { deploymentWhere, readyRevisions, release, shares } from "../../setup/deployments.ts";
import { kedge } from "../../setup/kedge.ts";
import { Load } from "../../setup/load.ts";
import { ended, submit } from "../../setup/runs.ts";
import { pushVoiceModel } from "../../setup/voice-model.ts";
import { waitUntil } from "../../setup/wait-for.ts";

const file = join(import.meta.dirname, "kedge.yaml");

describe("a switch from one model to the next under live load", () => {
  let cluster: Cluster;
  let load: Load;
  let gateway: string;
  let blue: number;
  let green: number;
  let runId: string;

  beforeAll(async () => {
    cluster = await Cluster.start([{ name: "edge", labels: { role: "serve" } }]);
    blue = await pushVoiceModel(cluster, { silero: "v5" });
    green = await pushVoiceModel(cluster, { silero: "v6" });
    await release(cluster, file, blue);
    gateway = (await cluster.readyNode("edge")).gatewayAddress;
    load = new Load({ gateway, deployment: "voice" });
    await waitUntil("the first model answers", async () => ({ ok: load.answered > 20, seen: load.failures.slice(-3) }));
  });

  afterAll(async () => {
    await load?.stop();
    await cluster?.[Symbol.asyncDispose]();
  });

  /** The version that answers a request which asks for a revision by header. */
  async function versionAt(revision: number): Promise<string> {
    const inputs = [{ name: "input", datatype: "FP32", shape: [1, 512], data: new Array<number>(512).fill(0) }];
    const answer = await fetch(`http://${gateway}/v2/models/voice/infer`, {
      method: "POST",
      headers: { "content-type": "application/json", "kedge-revision": String(revision) },
      body: JSON.stringify({ inputs }),
    });
    const { model_version: version } = (await answer.json()) as { model_version: string };
    return version;
  }

  const answersOf = (version: number): number => load.answers[String(version)] ?? 0;

  it("shows the new one to those who ask for it, and to nobody else", async () => {
    runId = await submit(cluster, { file, parameters: { version: String(green) } });
    await deploymentWhere(cluster, "voice", ({ rollout }) => rollout?.waitsForPerson === true);
    await waitUntil("the preview answers", async () => ({ ok: (await versionAt(2)) === String(green) }));
    const before = answersOf(blue);
    await waitUntil("users are answered on", async () => ({ ok: answersOf(blue) > before + 50 }));
    expect(answersOf(green)).toBe(0);
  });

  it("switches all traffic at once when a person says so, and keeps the old replica", async () => {
    expect((await kedge(cluster.env, "rollout", "promote", "voice")).code).toBe(0);
    expect((await ended(cluster, runId)).state).toBe(RunState.SUCCEEDED);
    const before = answersOf(blue);
    await waitUntil("the new model answers", async () => ({ ok: answersOf(green) > 50, seen: load.answers }));
    expect(answersOf(blue)).toBe(before);
    const deployment = await deploymentWhere(cluster, "voice", (it) => readyRevisions(it).length === 2);
    expect(shares(deployment)).toEqual({ "2": 100 });
  });

  it("goes back at once to the replica that was kept, and no request failed on all the way", async () => {
    const kept = await deploymentWhere(cluster, "voice", () => true);
    const replica = kept.replicas.find(({ revision }) => revision === 1);
    expect((await kedge(cluster.env, "rollout", "rollback", "voice")).code).toBe(0);
    const deployment = await deploymentWhere(
      cluster,
      "voice",
      ({ rollout }) => rollout?.returning === true && rollout.state === RolloutState.SUCCEEDED,
    );
    expect(shares(deployment)).toEqual({ "1": 100 });
    expect(replica?.since).toBeDefined();
    expect(deployment.replicas.find(({ revision }) => revision === 1)?.since).toEqual(replica?.since);
    const before = answersOf(green);
    const answered = answersOf(blue);
    await waitUntil("the old model answers", async () => ({ ok: answersOf(blue) > answered + 50, seen: load.answers }));
    expect(answersOf(green)).toBe(before);
    expect(load.failures).toEqual([]);
  });
});
