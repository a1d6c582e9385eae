import { join } from "node:path";
import { FailureClass, RolloutCause, RolloutState, RunState, VerdictKind } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { deploymentWhere, readyRevisions, release, rolloutPath, shares } from "../../setup/deployments.ts";
import { kedge } from "../../setup/kedge.ts";
import { Load } from "../../setup/load.ts";
import { ended, job, submit } from "../../setup/runs.ts";
import { pushVoiceModel } from "../../setup/voice-model.ts";
import { waitUntil } from "../../setup/wait-for.ts";

const file = join(import.meta.dirname, "kedge.yaml");

describe("releases of a model under live load", () => {
  let cluster: Cluster;
  let load: Load;
  let v5: number;
  let v6: number;

  beforeAll(async () => {
    cluster = await Cluster.start([{ name: "edge", labels: { role: "serve" } }]);
    v5 = await pushVoiceModel(cluster, { silero: "v5" });
    v6 = await pushVoiceModel(cluster, { silero: "v6" });
    await release(cluster, file, v5);
    const { gatewayAddress } = await cluster.readyNode("edge");
    load = new Load({ gateway: gatewayAddress, deployment: "voice" });
    await waitUntil("the first model answers", async () => ({ ok: load.answered > 20, seen: load.failures.slice(-3) }));
  });

  afterAll(async () => {
    await load?.stop();
    await cluster?.[Symbol.asyncDispose]();
  });

  it("promote a good one by canary without a failed request", async () => {
    await release(cluster, file, v6);
    const deployment = await deploymentWhere(
      cluster,
      "voice",
      (it) => it.rollout?.state === RolloutState.SUCCEEDED && readyRevisions(it).length === 1,
    );
    expect(deployment.stableRevision).toBe(2);
    expect(shares(deployment)).toEqual({ "2": 100 });
    expect(rolloutPath(deployment)).toEqual(expect.arrayContaining(["PROGRESSING@20", "PROGRESSING@50"]));
    const before = load.answers;
    await waitUntil("the new model answers all", async () => {
      const seen = load.answers;
      return { ok: (seen[String(v6)] ?? 0) > (before[String(v6)] ?? 0) + 50, seen };
    });
    expect(load.failures).toEqual([]);
  });

  it("roll back a bad one: the judge decides, the route goes first, the old one serves on", async () => {
    const bad = await pushVoiceModel(cluster, { silero: "v6", failsOneIn: 3 });
    const runId = await submit(cluster, { file, parameters: { version: String(bad) } });
    const run = await ended(cluster, runId);
    expect(run.state).toBe(RunState.FAILED);
    expect(job(run, "rollout").failure?.class).toBe(FailureClass.ROLLED_BACK);
    expect(job(run, "rollout").verdict).toMatchObject({ kind: VerdictKind.ROLLBACK });
    expect((await kedge(cluster.env, "run", "watch", runId)).code).toBe(3);
    expect((await kedge(cluster.env, "rollout", "status", "voice", "--wait")).code).toBe(4);

    const deployment = await deploymentWhere(
      cluster,
      "voice",
      (it) => it.rollout?.state === RolloutState.ROLLED_BACK && readyRevisions(it).length === 1,
    );
    expect(deployment.rollout?.cause).toBe(RolloutCause.JUDGE);
    expect(deployment.stableRevision).toBe(2);
    expect(shares(deployment)).toEqual({ "2": 100 });
    expect(readyRevisions(deployment)).toEqual([2]);
    expect(rolloutPath(deployment).some((it) => it.startsWith("PROGRESSING@50"))).toBe(false);

    const failed = load.failures.length;
    const answered = load.answered;
    await waitUntil("the old model answers on", async () => ({ ok: load.answered > answered + 100 }));
    expect(load.failures.slice(failed)).toEqual([]);
    expect(load.failures.every(({ kind, message }) => kind === "status" && message.startsWith("500"))).toBe(true);
  });
});
