import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LocalDecisionKind, RolloutCause, RolloutState, VerdictKind } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { deploymentWhere, release, rolloutPath, shares } from "../../setup/deployments.ts";
import { Load } from "../../setup/load.ts";
import { kill } from "../../setup/processes.ts";
import { submit } from "../../setup/runs.ts";
import { pushVoiceModel } from "../../setup/voice-model.ts";
import { waitUntil } from "../../setup/wait-for.ts";

const file = join(import.meta.dirname, "kedge.yaml");

describe("a release that goes bad while its node is cut off", () => {
  let cluster: Cluster;
  let load: Load;
  let good: number;
  let doubtful: number;
  let answeredWhenHeld: number;

  beforeAll(async () => {
    cluster = await Cluster.start([{ name: "edge", labels: { role: "serve" } }]);
    good = await pushVoiceModel(cluster, { silero: "v5" });
    doubtful = await pushVoiceModel(cluster, { silero: "v6", failsWhile: join(cluster.folder, "went-bad") });
    await release(cluster, file, good);
    load = new Load({ gateway: (await cluster.readyNode("edge")).gatewayAddress, deployment: "voice" });
    await waitUntil("the first model answers", async () => ({ ok: load.answered > 20, seen: load.failures.slice(-3) }));
  });

  afterAll(async () => {
    await load?.stop();
    await cluster?.[Symbol.asyncDispose]();
  });

  const answersOf = (version: number): number => load.answers[String(version)] ?? 0;

  /** So many answers of the old model one after the other, and no failure among them. */
  async function servesWell(count: number): Promise<void> {
    let failures = load.failures.length;
    let from = answersOf(good);
    await waitUntil(`${count} answers without a failure`, async () => {
      if (load.failures.length > failures) {
        failures = load.failures.length;
        from = answersOf(good);
      }
      return { ok: answersOf(good) >= from + count, seen: { answers: load.answers, last: load.failures.slice(-2) } };
    });
  }

  it("is rolled back by the node itself, with neither a controller nor NATS", async () => {
    await submit(cluster, { file, parameters: { version: String(doubtful) } });
    await waitUntil("half of the traffic is on it", async () => ({
      ok: answersOf(doubtful) > 100,
      seen: load.answers,
    }));
    expect(load.failures).toEqual([]);
    await cluster.controller.kill("SIGKILL");
    kill((await cluster.natsServer()).pid, "SIGKILL");
    await writeFile(join(cluster.folder, "went-bad"), "");
    await waitUntil("users meet it", async () => ({ ok: load.failures.length > 10, seen: load.answers }));
    await servesWell(200);
    answeredWhenHeld = answersOf(doubtful);
  });

  it("stays away through a crash of the agent", async () => {
    await cluster.node("edge").agent.kill("SIGKILL");
    await servesWell(100);
    cluster.node("edge").agent.restart();
    await servesWell(200);
    expect(answersOf(doubtful)).toBe(answeredWhenHeld);
  });

  it("is rolled back for all once the controller hears of it, with both decisions on record", async () => {
    cluster.controller.restart();
    const deployment = await deploymentWhere(
      cluster,
      "voice",
      ({ rollout }) => rollout?.state === RolloutState.ROLLED_BACK,
      60_000,
    );
    const { rollout } = deployment;
    expect(deployment.stableRevision).toBe(1);
    expect(shares(deployment)).toEqual({ "1": 100 });
    // The windows that waited on the node may have convinced the controller's own judge a moment earlier.
    expect([RolloutCause.LOCAL_DECISION, RolloutCause.JUDGE]).toContain(rollout?.cause);
    expect(rolloutPath(deployment)).toContain("PROGRESSING@50");
    expect(rollout?.verdict).toBeDefined();
    expect(rollout?.localDecisions).toMatchObject([
      {
        ...{ nodeId: cluster.node("edge").id, revision: 2, kind: LocalDecisionKind.ROLLBACK },
        verdict: { kind: VerdictKind.ROLLBACK, metric: "errors" },
      },
    ]);
    expect(rollout?.localDecisions[0]?.outcome).toMatch(/the node's decision holds for all|both agree/);
    const { lines } = await cluster.client.deployments.explainDeployment({ name: "voice" });
    expect(lines.join("\n")).toContain(`node ${cluster.node("edge").id} rolled back by itself`);
    await servesWell(100);
    expect(answersOf(doubtful)).toBe(answeredWhenHeld);
  });
});
