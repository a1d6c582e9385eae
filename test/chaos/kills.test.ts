import { join } from "node:path";
import { type Deployment, RolloutState, TaskState } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../setup/cluster.ts";
import { deploymentWhere, readyRevisions, release, shares } from "../setup/deployments.ts";
import { type FailedRequest, Load } from "../setup/load.ts";
import { isAlive, kill, processesOf } from "../setup/processes.ts";
import { ended, outcome, submit } from "../setup/runs.ts";
import { pushVoiceModel } from "../setup/voice-model.ts";
import { waitUntil } from "../setup/wait-for.ts";
import { HeldWork } from "./work.ts";

const file = join(import.meta.dirname, "release.yaml");
const REPLICA = /--model-dir /;

describe("kill -9 amid a canary under load and a job of several steps", () => {
  let cluster: Cluster;
  let load: Load;
  const versions: string[] = [];

  beforeAll(async () => {
    cluster = await Cluster.start([
      { name: "edge", labels: { role: "serve" } },
      { name: "builder", labels: { role: "build" } },
    ]);
    for (const silero of ["v5", "v6"] as const) versions.push(String(await pushVoiceModel(cluster, { silero })));
    await release(cluster, file, Number(versions[0]));
    const { gatewayAddress } = await cluster.readyNode("edge");
    load = new Load({ gateway: gatewayAddress, deployment: "voice", intervalMs: 120 });
    await answering();
  });

  afterAll(async () => {
    await load?.stop();
    await cluster?.[Symbol.asyncDispose]();
  });

  async function answering(): Promise<void> {
    const before = load.answered;
    await waitUntil("users get answers", async () => ({
      ok: load.answered > before + 50,
      seen: load.failures.slice(-3),
    }));
  }

  const settled = (it: Deployment): boolean =>
    it.rollout?.state === RolloutState.SUCCEEDED && readyRevisions(it).every((number) => number === it.stableRevision);

  /** Does `harm` in the middle of a rollout and a job; the requests that failed until both had ended well. */
  async function surviving(name: string, harm: () => Promise<void>): Promise<FailedRequest[]> {
    const before = await deploymentWhere(cluster, "voice", settled);
    const [version = "", other = ""] = versions.reverse();
    expect(version).not.toBe(other);
    const failuresBefore = load.failures.length;
    const work = await HeldWork.start(cluster, name);
    const rollout = await submit(cluster, { file, parameters: { version } });
    const next = before.stableRevision + 1;
    await deploymentWhere(cluster, "voice", (it) => shares(it)[next] === 20);
    await harm();
    const worked = await work.finish();
    expect(outcome(worked)).toBe("SUCCEEDED");
    const attempts = worked.jobs.flatMap(({ tasks }) => tasks);
    const told = attempts
      .map(({ id, state, failure }) => `${id} ${TaskState[state]} ${failure?.message ?? ""}`)
      .join("; ");
    expect(await work.effects(), told).toEqual(["one", "two", "three", "four"]);
    expect(attempts, told).toHaveLength(2);
    expect(outcome(await ended(cluster, rollout))).toBe("SUCCEEDED");
    const after = await deploymentWhere(cluster, "voice", settled);
    expect(after.stableRevision).toBe(next);
    expect(shares(after)).toEqual({ [next]: 100 });
    await answering();
    return load.failures.slice(failuresBefore);
  }

  it("the controller: users notice nothing", async () => {
    const failed = await surviving("controller", async () => {
      await cluster.controller.kill("SIGKILL");
      cluster.controller.restart();
    });
    expect(failed).toEqual([]);
  });

  it("the NATS server: users notice nothing", async () => {
    const failed = await surviving("nats", async () => {
      const { pid } = await cluster.natsServer();
      kill(pid, "SIGKILL");
      await waitUntil("another NATS server runs", async () => ({ ok: (await cluster.natsServer()).pid !== pid }));
    });
    expect(failed).toEqual([]);
  });

  it("the agents: users notice nothing", async () => {
    const failed = await surviving("agents", async () => {
      for (const name of ["edge", "builder"]) {
        const { agent } = cluster.node(name);
        await agent.kill("SIGKILL");
        agent.restart();
      }
    });
    expect(failed).toEqual([]);
  });

  it("HAProxy: users cannot connect while it is down, and nothing else", async ({ annotate }) => {
    const failed = await surviving("haproxy", async () => {
      const { pid } = await cluster.haproxy("edge");
      kill(pid, "SIGKILL");
      await waitUntil("another HAProxy runs", async () => ({ ok: (await cluster.haproxy("edge")).pid !== pid }));
      await answering();
    });
    await annotate(`${failed.length} requests failed`);
    expect(failed.filter(({ kind }) => kind !== "connection")).toEqual([]);
  });

  it("a replica of the old revision: at most what it had in hand fails", async ({ annotate }) => {
    const failed = await surviving("replica", async () => {
      const { stableRevision } = await deploymentWhere(cluster, "voice", () => true);
      const pattern = new RegExp(`voice[.]${stableRevision}[.]`);
      const replicas = await processesOf(cluster.node("edge").dataDir);
      const victim = replicas.find(({ command }) => REPLICA.test(command) && pattern.test(command));
      if (victim === undefined)
        throw new Error(`no replica of revision ${stableRevision}: ${JSON.stringify(replicas)}`);
      kill(victim.pid, "SIGKILL");
      await waitUntil("it is gone", async () => ({ ok: !(await isAlive(victim.pid)) }));
    });
    await annotate(`${failed.length} requests failed`);
    expect(failed.length).toBeLessThanOrEqual(12);
  });
});
