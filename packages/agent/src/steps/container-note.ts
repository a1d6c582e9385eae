import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, Logger } from "@kedge/kernel";
import type { Runtime } from "@kedge/runtime";
import { bootId, bootTimeMs } from "../node/boot-clock.ts";
import { formatIdentity, identifyProcess } from "../state/process-identity.ts";

/** USER_HZ, fixed on all Linux platforms that Node runs on. */
const MS_PER_TICK = 10;
const SAME_AGE_MS = 3000;

/** A container that the watchdog should know. */
export interface NotedContainer {
  readonly runtime: Runtime;
  /** Id of the workload. */
  readonly id: string;
  readonly taskId: string;
  /** The task's own folder. */
  readonly directory: string;
  /** Tells the task's notes apart. */
  readonly name: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Tells the watchdog which process of this machine is a container's first one. Never throws. */
export async function noteContainer(container: NotedContainer): Promise<void> {
  const { runtime, id, taskId, directory, name, clock, logger } = container;
  try {
    const found = await runtime.list({ "kedge.task": taskId });
    const { pid, startedAtMs = 0 } = found.find((workload) => workload.id === id) ?? {};
    const identity = pid === undefined ? undefined : await identifyProcess(pid);
    if (identity === undefined) return;
    // To an agent that sees other process ids than the engine this is somebody else's process, of another age.
    const ageMs = bootTimeMs() - Number(identity.startTicks) * MS_PER_TICK;
    if (Math.abs(ageMs - (clock.now() - startedAtMs)) > SAME_AGE_MS) return;
    await writeFile(join(directory, `container.${name}`), `${formatIdentity(identity)} ${bootId()}\n`, { mode: 0o600 });
  } catch (error) {
    // The task may have ended just now, and its folder be gone.
    logger.debug({ err: error, workload: id }, "container not noted for the watchdog");
  }
}
