import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { errorMessage } from "@kedge/domain";
import type { Logger } from "@kedge/kernel";
import { taskNetwork } from "../steps/run-step.ts";
import type { StepRuntimes } from "../steps/step-context.ts";

/** Whose leavings are looked for. */
export interface OrphanSearch {
  readonly nodeId: string;
  /** Folder with the tasks' records and workspaces. */
  readonly tasksDir: string;
  readonly runtimes: StepRuntimes;
  /** Whether a task is still this agent's; asked after something of it was found. */
  readonly isLive: (taskId: string) => boolean;
  readonly logger: Logger;
}

const WORKSPACE = "KEDGE_WORKSPACE=";

/**
 * Ends and removes what tasks left that are over: containers, process groups, processes that had left their group, and
 * networks. A start that was cut short, by a kill or by an engine that answered too late, is undone by this. Safe to repeat;
 * never throws.
 */
export async function sweepOrphans(search: OrphanSearch): Promise<void> {
  const { runtimes, logger } = search;
  const works = [() => sweepWorkloads(search, runtimes.process), () => sweepWorkloads(search, runtimes.docker)];
  // Networks last: they can go only when nothing is in them.
  for (const work of [...works, () => sweepNetworks(search), () => sweepStrays(search)]) {
    await work().catch((error: unknown) => logger.warn({ reason: errorMessage(error) }, "orphans not looked for"));
  }
}

async function sweepWorkloads(
  { nodeId, tasksDir, isLive, logger }: OrphanSearch,
  runtime: StepRuntimes["process"] | undefined,
): Promise<void> {
  for (const { id, labels } of (await runtime?.list({ "kedge.node": nodeId, "kedge.tasks": tasksDir })) ?? []) {
    const taskId = labels["kedge.task"];
    if (taskId === undefined || isLive(taskId)) continue;
    logger.warn({ workload: id }, "removing a workload of no task");
    await runtime?.remove(id);
  }
}

async function sweepNetworks({
  nodeId,
  tasksDir,
  runtimes: { docker, networks },
  isLive,
  logger,
}: OrphanSearch): Promise<void> {
  if (docker === undefined || networks === undefined) return;
  const prefix = taskNetwork("");
  for (const name of await networks.list({ "kedge.node": nodeId, "kedge.tasks": tasksDir })) {
    if (!name.startsWith(prefix) || isLive(name.slice(prefix.length))) continue;
    logger.warn({ network: name }, "removing a network of no task");
    await networks.remove(name);
  }
}

/** Steps know their workspace from the start, and so does all that they start, whatever group or parent it has now. */
async function sweepStrays({ tasksDir, isLive, logger }: OrphanSearch): Promise<void> {
  const mark = `${WORKSPACE}${join(tasksDir, "/")}`;
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    // Other users' are not readable, and not ours.
    const environment = await readFile(`/proc/${name}/environ`, "latin1").catch(() => "");
    const own = environment.split("\0").find((variable) => variable.startsWith(mark));
    const taskId = own?.slice(mark.length).split("/")[0];
    if (taskId === undefined || isLive(taskId)) continue;
    logger.warn({ pid: Number(name), taskId }, "ending a process that outlived its task");
    kill(Number(name));
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself just now.
  }
}
