import { rm } from "node:fs/promises";
import { join } from "node:path";
import { errorMessage } from "@kedge/domain";
import { endGateway } from "@kedge/gateway";
import type { Logger } from "@kedge/kernel";
import type { Runtime } from "@kedge/runtime";
import { endWatchdog } from "./node/watchdog.ts";
import { secretsRoot } from "./secrets/secrets-folder.ts";
import type { StepRuntimes } from "./steps/step-context.ts";
import { cleanUpTask } from "./tasks/clean-up.ts";
import { TaskRecord } from "./tasks/task-record.ts";

/** Whose work is ended. */
export interface NodeWork {
  readonly dataDir: string;
  readonly nodeId: string;
  readonly runtimes: StepRuntimes;
  readonly logger: Logger;
}

/** What was ended. */
export interface EndedWork {
  readonly tasks: number;
  readonly replicas: number;
}

const STOP_GRACE_MS = 5000;

/**
 * Ends everything that a node's agent leaves running: gateway, replicas, tasks, networks, watchdog. Identity, models,
 * documents and the gateway's port stay, so a later agent serves again what its assignment says. Tasks are not
 * reported; the controller gives them away when the lease has run out. Only while no agent works on the folder. Safe to
 * repeat.
 */
export async function endWork(work: NodeWork): Promise<EndedWork> {
  const { dataDir, nodeId, runtimes, logger } = work;
  // First, as what it leads to must still answer the requests in flight.
  await endGateway(join(dataDir, "gateway"));
  const records = await TaskRecord.loadAll(join(dataDir, "tasks"));
  for (const record of records) await cleanUpTask({ record, runtimes, keepWorkspaces: false, logger });
  await rm(secretsRoot(join(dataDir, "tasks")), { recursive: true, force: true });
  let replicas = 0;
  for (const runtime of [runtimes.process, runtimes.docker]) {
    if (runtime !== undefined) replicas += await endWorkloads(runtime, nodeId, logger);
  }
  await removeNetworks(work);
  // Last: until here it stands in for this function.
  await endWatchdog(dataDir);
  return { tasks: records.length, replicas };
}

/** Ends all of a node's workloads; tells how many of them were replicas. */
async function endWorkloads(runtime: Runtime, nodeId: string, logger: Logger): Promise<number> {
  const found = await runtime.list({ "kedge.node": nodeId }).catch((error: unknown) => {
    logger.warn({ reason: errorMessage(error) }, "workloads not looked for");
    return [];
  });
  await Promise.all(
    found.map(async ({ id, labels }) => {
      if (labels["kedge.replica"] !== undefined) await runtime.stop(id, STOP_GRACE_MS);
      await runtime.remove(id);
    }),
  );
  return found.filter(({ labels }) => labels["kedge.replica"] !== undefined).length;
}

async function removeNetworks({ nodeId, runtimes, logger }: NodeWork): Promise<void> {
  const { networks } = runtimes;
  if (networks === undefined) return;
  try {
    for (const name of await networks.list({ "kedge.node": nodeId })) await networks.remove(name);
  } catch (error) {
    logger.warn({ reason: errorMessage(error) }, "networks not removed");
  }
}
