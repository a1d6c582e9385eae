import { join } from "node:path";
import { PauseCause, RolloutState, RunState, VerdictKind } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { deploymentWhere, release, shares } from "../../setup/deployments.ts";
import { Load } from "../../setup/load.ts";
import { ended, submit } from "../../setup/runs.ts";
import { pushVoiceModel } from "../../setup/voice-model.ts";
import { waitUntil } from "../../setup/wait-for.ts";

const file = join(import.meta.dirname, "kedge.yaml");

describe("releases that are judged on what their handlers push", () => {
  let cluster: Cluster;
  let load: Load;

  beforeAll(async () => {
    cluster = await Cluster.start([{ name: "edge", labels: { role: "serve" } }]);
    await release(cluster, file, await pushVoiceModel(cluster, { silero: "v5", score: 0.8 }));
    const { gatewayAddress } = await cluster.readyNode("edge");
    load = new Load({ gateway: gatewayAddress, deployment: "voice" });
    await waitUntil("the first model answers", async () => ({ ok: load.answered > 20, seen: load.failures.slice(-3) }));
  });

  afterAll(async () => {
    await load?.stop();
    await cluster?.[Symbol.asyncDispose]();
  });

  it("promote one that scores alike", async () => {
    await release(cluster, file, await pushVoiceModel(cluster, { silero: "v6", score: 0.8 }));
    const deployment = await deploymentWhere(cluster, "voice", (it) => it.rollout?.state === RolloutState.SUCCEEDED);
    expect(deployment.stableRevision).toBe(2);
  });

  it("roll back one whose score drops, though no request fails", async () => {
    const run = await submit(cluster, {
      file,
      parameters: { version: String(await pushVoiceModel(cluster, { silero: "v6", score: 0.5 })) },
    });
    expect((await ended(cluster, run)).state).toBe(RunState.FAILED);
    const deployment = await deploymentWhere(cluster, "voice", (it) => it.rollout?.state === RolloutState.ROLLED_BACK);
    expect(deployment.rollout?.verdict).toMatchObject({ kind: VerdictKind.ROLLBACK, metric: "score" });
    expect(deployment.rollout?.totalCanary?.errors).toBe(0n);
    expect(shares(deployment)).toEqual({ "2": 100 });
    expect(load.failures).toEqual([]);
  });

  it("pause with one that does not push it, and say so", async () => {
    await submit(cluster, {
      file,
      parameters: { version: String(await pushVoiceModel(cluster, { silero: "v6" })) },
    });
    const deployment = await deploymentWhere(cluster, "voice", (it) => it.rollout?.state === RolloutState.PAUSED);
    expect(deployment.rollout?.pauseCause).toBe(PauseCause.METRICS_MISSING);
    expect(deployment.rollout?.transitions.at(-1)?.reason).toContain("no score (no replica of revision 4 tells it)");
    expect(load.failures).toEqual([]);
  });
});
