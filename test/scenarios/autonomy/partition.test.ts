import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LocalDecisionKind, RolloutState } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { deploymentWhere, release, shares } from "../../setup/deployments.ts";
import { Link } from "../../setup/link.ts";
import { Load } from "../../setup/load.ts";
import { submit } from "../../setup/runs.ts";
import { pushVoiceModel } from "../../setup/voice-model.ts";
import { waitUntil } from "../../setup/wait-for.ts";

const file = join(import.meta.dirname, "kedge.yaml");

interface Identity {
  natsServers: string[];
}

describe("a node without a network, while its controller and NATS are well", () => {
  let cluster: Cluster;
  let link: Link;
  let load: Load;
  let good: number;
  let doubtful: number;

  beforeAll(async () => {
    cluster = await Cluster.start([{ name: "edge", labels: { role: "serve" } }]);
    good = await pushVoiceModel(cluster, { silero: "v5" });
    doubtful = await pushVoiceModel(cluster, { silero: "v6", failsWhile: join(cluster.folder, "went-bad") });
    await release(cluster, file, good);
    await reachByLink();
    load = new Load({ gateway: (await cluster.readyNode("edge")).gatewayAddress, deployment: "voice" });
    await waitUntil("the first model answers", async () => ({ ok: load.answered > 20, seen: load.failures.slice(-3) }));
  });

  afterAll(async () => {
    await load?.stop();
    await cluster?.[Symbol.asyncDispose]();
    await link?.[Symbol.asyncDispose]();
  });

  /** Has the node speak to NATS through a link that can be cut. */
  async function reachByLink(): Promise<void> {
    const { agent, dataDir } = cluster.node("edge");
    const path = join(dataDir, "identity.json");
    const identity = JSON.parse(await readFile(path, "utf8")) as Identity;
    link = await Link.to((identity.natsServers[0] ?? "").replace(/^\w+:\/\//, ""));
    await agent.kill("SIGTERM");
    await writeFile(path, JSON.stringify({ ...identity, natsServers: [link.address] }));
    agent.restart();
    await cluster.readyNode("edge");
  }

  const answersOf = (version: number): number => load.answers[String(version)] ?? 0;

  it("goes back by itself while the controller still has the rollout in progress", async () => {
    await submit(cluster, { file, parameters: { version: String(doubtful) } });
    const seen = () => load.answers;
    await waitUntil("half of the traffic is on it", async () => ({ ok: answersOf(doubtful) > 100, seen: seen() }));
    link.cut();
    await writeFile(join(cluster.folder, "went-bad"), "");
    await waitUntil("users meet it", async () => ({ ok: load.failures.length > 10, seen: seen() }));
    let failures = load.failures.length;
    let from = answersOf(good);
    await waitUntil("200 answers without a failure", async () => {
      if (load.failures.length > failures) from = answersOf(good);
      failures = load.failures.length;
      return { ok: answersOf(good) >= from + 200, seen: seen() };
    });
    const deployment = await deploymentWhere(cluster, "voice", () => true);
    expect(deployment.rollout?.state).toBe(RolloutState.PROGRESSING);
    expect(shares(deployment)).toEqual({ "1": 50, "2": 50 });
  });

  it("is heard once the network is back, and the revision never answers again", async () => {
    const answered = answersOf(doubtful);
    const failed = load.failures.length;
    link.mend();
    const deployment = await deploymentWhere(
      cluster,
      "voice",
      ({ rollout }) => rollout?.state === RolloutState.ROLLED_BACK && rollout.localDecisions.length > 0,
    );
    expect(deployment.stableRevision).toBe(1);
    expect(deployment.rollout?.localDecisions).toMatchObject([
      { nodeId: cluster.node("edge").id, revision: 2, kind: LocalDecisionKind.ROLLBACK },
    ]);
    const before = answersOf(good);
    await waitUntil("the old model answers on", async () => ({
      ok: answersOf(good) > before + 100,
      seen: load.answers,
    }));
    expect(answersOf(doubtful)).toBe(answered);
    expect(load.failures.slice(failed)).toEqual([]);
  });
});
