import { existsSync } from "node:fs";
import { join } from "node:path";
import { errorMessage } from "@kedge/domain";
import { type GpuDevice, RuntimeKind } from "@kedge/proto";
import { createProcessRuntime, engineVersion, openDocker, readDockerConfig } from "@kedge/runtime";
import type { ResolvedAgentOptions } from "../config.ts";
import type { ReplicaRuntimes } from "../serving/replica-spec.ts";
import type { StepRuntimes } from "../steps/step-context.ts";

/** What this node runs steps and replicas with. */
export type NodeRuntimes = StepRuntimes & ReplicaRuntimes;

/**
 * The ways to run work on this node: those that were asked for, or plain processes and a Docker Engine that answers.
 * An engine that was asked for is used even if it does not answer yet.
 *
 * @param gpus what there is to hand out to work that is started.
 */
export async function openRuntimes(
  options: ResolvedAgentOptions,
  nodeId: string,
  gpus: readonly GpuDevice[] = [],
): Promise<NodeRuntimes> {
  const { dataDir, clock, logger, runtimes, dockerSocket, dockerConfig, modelServerEntry } = options;
  const wantsProcess = runtimes?.includes("process") ?? true;
  const process = wantsProcess ? createProcessRuntime({ dir: join(dataDir, "processes"), clock, logger }) : undefined;
  const wantsDocker = runtimes?.includes("docker") ?? existsSync(dockerSocket);
  const always = { process, gpus, modelServerEntry, nodeLogins: () => readDockerConfig(dockerConfig) };
  const none = { ...always, docker: undefined, images: undefined, networks: undefined, access: undefined };
  if (!wantsDocker) return none;
  try {
    logger.info({ version: await engineVersion(dockerSocket) }, "Docker Engine answers");
  } catch (error) {
    logger.warn({ reason: errorMessage(error) }, "Docker Engine does not answer");
    if (runtimes === undefined) return none;
  }
  const { runtime, ...engine } = openDocker({ socketPath: dockerSocket, clock, logger, instance: nodeId });
  return { ...always, docker: runtime, ...engine };
}

/** Kinds of the runtimes that are there, for heartbeats. */
export function runtimeKinds({ process, docker }: StepRuntimes): RuntimeKind[] {
  const kinds: RuntimeKind[] = [];
  if (docker !== undefined) kinds.push(RuntimeKind.DOCKER);
  if (process !== undefined) kinds.push(RuntimeKind.PROCESS);
  return kinds;
}
