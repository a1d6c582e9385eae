import { create } from "@bufbuild/protobuf";
import { type Capacity, type Heartbeat, HeartbeatSchema, type SealKey, type TaskRef } from "@kedge/proto";
import { measureLoad } from "./node/capacity.ts";
import { runtimeKinds } from "./node/runtimes.ts";
import type { Serving } from "./serving/serving.ts";
import type { StepRuntimes } from "./steps/step-context.ts";

/** Version the agent reports. */
export const AGENT_VERSION = "0.1.0";

/** What a heartbeat tells. */
export interface HeartbeatInput {
  readonly nodeId: string;
  readonly bootId: string;
  readonly sequence: bigint;
  readonly capacity: Capacity;
  readonly runtimes: StepRuntimes;
  readonly gatewayAddress: string;
  /** What secrets are to be sealed to. */
  readonly sealKey: SealKey;
  readonly tasks: readonly Pick<TaskRef, "taskId" | "fence">[];
  /** Undefined on a node that serves nothing. */
  readonly serving: Serving | undefined;
  readonly cachedModels: readonly string[];
  /** Undefined while it is not known. */
  readonly freeDiskMib: number | undefined;
  /** Sizes of the images that the engine holds, by name. */
  readonly images: ReadonlyMap<string, bigint>;
}

/** The node as it is now. */
export function composeHeartbeat(input: HeartbeatInput): Heartbeat {
  const { nodeId, bootId, sequence, capacity, runtimes, gatewayAddress, sealKey, tasks, serving } = input;
  return create(HeartbeatSchema, {
    ...{ nodeId, bootId, sequence, capacity, gatewayAddress, sealKey },
    ...measureLoad(),
    agentVersion: AGENT_VERSION,
    runtimes: runtimeKinds(runtimes),
    runningTasks: [...tasks],
    replicas: serving?.replicas ?? [],
    routes: serving?.appliedRoutes ?? [],
    assignmentGeneration: serving?.assignmentGeneration ?? 0n,
    cachedModels: [...input.cachedModels],
    cachedImages: [...input.images.keys()],
    imageBytes: Object.fromEntries(input.images),
    ...(input.freeDiskMib === undefined ? {} : { freeDiskMib: BigInt(input.freeDiskMib) }),
  });
}
