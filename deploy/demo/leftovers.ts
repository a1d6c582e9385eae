import { existsSync } from "node:fs";
import { join } from "node:path";
import { Gateway } from "@kedge/gateway";
import { newId, silentLogger, systemClock } from "@kedge/kernel";
import { connectDocker, createDockerRuntime, createNetworks, createProcessRuntime, type Runtime } from "@kedge/runtime";

/** A node whose agent has ended. */
export interface EndedNode {
  readonly nodeId: string;
  readonly dataDir: string;
  readonly docker: boolean;
}

const REPLICA_GRACE_MS = 2000;

/**
 * Ends what outlives an agent by design: replicas, HAProxy, containers of tasks. Found by the data folder, so that
 * it works after a crash too.
 */
export async function endLeftovers({ nodeId, dataDir, docker }: EndedNode): Promise<void> {
  await Promise.all([endGateway(nodeId, join(dataDir, "gateway")), endProcesses(join(dataDir, "processes"))]);
  if (!docker) return;
  const client = connectDocker();
  const runtime = createDockerRuntime({ docker: client, clock: systemClock, logger: silentLogger, instance: nodeId });
  // Another agent of this name may use the same engine; the record of a task says that it is ours.
  const isOurs = (task: string | undefined): boolean => task !== undefined && existsSync(join(dataDir, "tasks", task));
  await endAll(runtime, (labels) => isOurs(labels["kedge.task"]));
  const networks = createNetworks(client);
  for (const name of await networks.list({ "kedge.node": nodeId })) {
    if (isOurs(name.replace(/^kedge-/, ""))) await networks.remove(name);
  }
}

async function endGateway(nodeId: string, dir: string): Promise<void> {
  if (!existsSync(dir)) return;
  const listen = { host: "127.0.0.1", port: 0 };
  const common = { clock: systemClock, logger: silentLogger, onWindow: () => {} };
  const gateway = new Gateway({ dir, listen, nodeId, bootId: newId(systemClock), ...common });
  // It takes over the HAProxy that runs, which is the way to end it in order.
  await gateway.start(AbortSignal.timeout(10_000));
  await gateway.stop();
}

async function endProcesses(dir: string): Promise<void> {
  if (!existsSync(dir)) return;
  await endAll(createProcessRuntime({ dir, clock: systemClock, logger: silentLogger }), () => true);
}

async function endAll(runtime: Runtime, isOurs: (labels: Readonly<Record<string, string>>) => boolean): Promise<void> {
  const workloads = (await runtime.list({})).filter(({ labels }) => isOurs(labels));
  await Promise.all(
    workloads.map(async ({ id }) => {
      await runtime.stop(id, REPLICA_GRACE_MS);
      await runtime.remove(id);
    }),
  );
}
