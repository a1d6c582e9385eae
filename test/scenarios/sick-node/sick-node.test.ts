import { join } from "node:path";
import { type Deployment, ReplicaState } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster } from "../../setup/cluster.ts";
import { deploymentWhere, release } from "../../setup/deployments.ts";
import { kedge } from "../../setup/kedge.ts";
import { kill, processesOf } from "../../setup/processes.ts";
import { pushVoiceModel } from "../../setup/voice-model.ts";

const file = join(import.meta.dirname, "kedge.yaml");
const NODES = ["left", "middle", "right"] as const;
const CRASH_LOOP_MS = 100_000;

describe("replicas on a node that is not well", () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await Cluster.start(NODES.map((name) => ({ name })));
    for (const name of NODES) await cluster.readyNode(name);
    await release(cluster, file, await pushVoiceModel(cluster, { silero: "v5" }));
    await deploymentWhere(cluster, "voice", (deployment) => readyNodes(deployment).length === 2);
  });

  afterAll(() => cluster?.[Symbol.asyncDispose]());

  /** Nodes with a ready replica. */
  function readyNodes({ replicas }: Deployment): string[] {
    const ready = replicas.filter(({ state }) => state === ReplicaState.READY);
    return ready.map(({ replicaId }) => replicaId.split(".")[2] ?? "");
  }

  const nameOf = (nodeId: string): string => NODES.find((name) => cluster.node(name).id === nodeId) ?? "";

  it("move off a node in quarantine, and there are never fewer than there should be", async () => {
    const [nodeId = ""] = readyNodes(await deploymentWhere(cluster, "voice", () => true));
    const { code, stdout } = await kedge(cluster.env, "node", "quarantine", nodeId, "--reason", "fan is loud");
    expect(code).toBe(0);
    expect(stdout).toContain("ready,quarantined");
    let fewest = 2;
    const moved = await deploymentWhere(cluster, "voice", (deployment) => {
      const ready = readyNodes(deployment);
      fewest = Math.min(fewest, ready.length);
      return !ready.includes(nodeId) && deployment.moves.length === 0;
    });
    expect(fewest).toBe(2);
    expect(readyNodes(moved)).toHaveLength(2);
    expect((await kedge(cluster.env, "node", "get", nodeId)).stdout).toContain(
      "quarantine: active until it is released, by admin: fan is loud",
    );
    expect((await kedge(cluster.env, "node", "release", nodeId)).stdout).not.toContain("quarantined");
  });

  it("move when they crash there and are well elsewhere, and the node stays in service", async () => {
    const [nodeId = ""] = readyNodes(await deploymentWhere(cluster, "voice", () => true));
    const dataDir = cluster.node(nameOf(nodeId)).dataDir;
    const moved = await deploymentWhere(
      cluster,
      "voice",
      (deployment) => {
        if (deployment.moves.length === 0 && readyNodes(deployment).includes(nodeId)) void crash(dataDir);
        return deployment.avoidedNodes.length > 0 && readyNodes(deployment).length === 2 && !isOn(deployment, nodeId);
      },
      CRASH_LOOP_MS,
    );
    expect(moved.avoidedNodes).toMatchObject([{ nodeId, revision: 1 }]);
    const { node } = await cluster.client.nodes.getNode({ nodeId });
    expect(node?.quarantine).toBeUndefined();
    const shown = await kedge(cluster.env, "deployment", "get", "voice");
    expect(shown.stdout).toMatch(new RegExp(`avoids ${nodeId} for .* more: replicas of voice revision 1 failed`));
  });

  const isOn = ({ replicas }: Deployment, nodeId: string): boolean =>
    replicas.some(({ replicaId }) => replicaId.split(".")[2] === nodeId);

  async function crash(dataDir: string): Promise<void> {
    const servers = (await processesOf(dataDir)).filter(({ command }) => command.includes("--model-dir"));
    for (const { pid } of servers) kill(pid, "SIGKILL");
  }
});
