import { requestAmounts } from "@kedge/domain";
import { type GpuRequest, NodeRejection_Reason, NodeState, RuntimeKind } from "@kedge/proto";
import type { NodeEntry } from "./cluster.ts";
import type { Demand } from "./demand.ts";
import { type DeviceState, gpuShortage, wantsGpu } from "./gpu.ts";

/** A demand with everything looked up that does not depend on the node. */
export interface CompiledDemand {
  readonly demand: Demand;
  readonly amounts: readonly (readonly [dimension: string, wanted: number])[];
  readonly gpu: GpuRequest | undefined;
  readonly selector: readonly (readonly [label: string, value: string])[];
  readonly tolerations: readonly string[];
  readonly runtime: RuntimeKind;
}

/** One thing that keeps a demand off one node; amounts are zero unless a resource is short. */
export interface Obstacle {
  readonly reason: NodeRejection_Reason;
  readonly subject: string;
  readonly wanted: number;
  readonly free: number;
  readonly total: number;
}

/** Prepares a demand for many nodes. */
export function compileDemand(demand: Demand): CompiledDemand {
  const gpu = demand.resources?.gpu;
  return {
    demand,
    amounts: Object.entries(requestAmounts(demand.resources)),
    gpu: wantsGpu(gpu) ? gpu : undefined,
    selector: Object.entries(demand.placement?.nodeSelector ?? {}),
    tolerations: demand.placement?.tolerations ?? [],
    runtime: demand.runtime ?? RuntimeKind.UNSPECIFIED,
  };
}

/** The first thing that keeps a demand off a node now: what never changes by itself, then its state, then resources. */
export function findObstacle(entry: NodeEntry, demand: CompiledDemand): Obstacle | undefined {
  return matchObstacle(entry, demand) ?? resourceObstacle(entry, demand, entry.used, entry.devices);
}

/** Like `findObstacle`, resources left out. */
export function matchObstacle(entry: NodeEntry, demand: CompiledDemand): Obstacle | undefined {
  return constraintObstacle(entry, demand) ?? stateObstacle(entry);
}

/** What would keep a demand off a node even if it were ready and idle. A node that never reported counts as big enough. */
export function lastingObstacle(entry: NodeEntry, demand: CompiledDemand): Obstacle | undefined {
  const constraint = constraintObstacle(entry, demand);
  if (constraint !== undefined || entry.node.capacity === undefined) return constraint;
  const idle = entry.devices.map(({ device }) => ({ device, usedMilli: 0, usedMemoryMib: 0 }));
  return resourceObstacle(entry, demand, {}, idle);
}

function constraintObstacle({ node }: NodeEntry, demand: CompiledDemand): Obstacle | undefined {
  for (const [label, value] of demand.selector) {
    if (!Object.hasOwn(node.labels, label) || node.labels[label] !== value) {
      return plain(NodeRejection_Reason.LABEL_MISMATCH, label);
    }
  }
  for (const taint of node.taints) {
    if (!demand.tolerations.includes(taint)) return plain(NodeRejection_Reason.TAINTED, taint);
  }
  if (demand.runtime !== RuntimeKind.UNSPECIFIED && !node.runtimes.includes(demand.runtime)) {
    return plain(NodeRejection_Reason.RUNTIME_MISSING, RuntimeKind[demand.runtime].toLowerCase());
  }
  return undefined;
}

function stateObstacle({ node }: NodeEntry): Obstacle | undefined {
  if (node.state !== NodeState.READY) return plain(NodeRejection_Reason.NOT_READY, NodeState[node.state].toLowerCase());
  if (node.cordoned) return plain(NodeRejection_Reason.CORDONED, "cordoned");
  return node.draining ? plain(NodeRejection_Reason.CORDONED, "draining") : undefined;
}

function resourceObstacle(
  entry: NodeEntry,
  demand: CompiledDemand,
  used: Readonly<Record<string, number>>,
  devices: readonly DeviceState[],
): Obstacle | undefined {
  for (const [dimension, wanted] of demand.amounts) {
    const total = entry.total[dimension] ?? 0;
    const free = total - (used[dimension] ?? 0);
    if (wanted > free) return { reason: NodeRejection_Reason.RESOURCE_SHORT, subject: dimension, wanted, free, total };
  }
  if (demand.gpu === undefined) return undefined;
  const shortage = gpuShortage(devices, demand.gpu);
  return shortage && { reason: NodeRejection_Reason.RESOURCE_SHORT, ...shortage };
}

function plain(reason: NodeRejection_Reason, subject: string): Obstacle {
  return { reason, subject, wanted: 0, free: 0, total: 0 };
}
