import { NodeRejection_Reason, NodeState, RuntimeKind } from "@kedge/proto";
import type { CompiledDemand } from "./compiled-demand.ts";
import { applyClaims, type DeviceState, gpuShortage } from "./gpu.ts";
import { labelOf, meetsConstraint } from "./label-constraints.ts";
import type { NodeEntry } from "./node-entry.ts";
import { quarantineOf } from "./set-aside-nodes.ts";
import type { SpreadLimits } from "./spread.ts";

/** One thing that keeps a demand off one node; amounts are zero unless a resource is short. */
export interface Obstacle {
  readonly reason: NodeRejection_Reason;
  /** The dimension, label, taint, workload or job at fault. */
  readonly subject: string;
  readonly wanted: number;
  readonly free: number;
  readonly total: number;
}

/** Receives obstacles; true: that is enough. */
type Visit = (obstacle: Obstacle) => boolean;

/**
 * The first thing that keeps a demand off a node now: what never changes by itself, then its state, then what else runs
 * there, then resources. The one place that decides whether a demand fits.
 */
export function findObstacle(entry: NodeEntry, demand: CompiledDemand, limits?: SpreadLimits): Obstacle | undefined {
  let found: Obstacle | undefined;
  visitObstacles(entry, demand, limits, (obstacle) => {
    found = obstacle;
    return true;
  });
  return found;
}

/** Everything that keeps a demand off a node now, in the same order. */
export function allObstacles(entry: NodeEntry, demand: CompiledDemand, limits?: SpreadLimits): Obstacle[] {
  const found: Obstacle[] = [];
  visitObstacles(entry, demand, limits, (obstacle) => {
    found.push(obstacle);
    return false;
  });
  return found;
}

/** Like `findObstacle`, resources and what else runs there left out. */
export function matchObstacle(entry: NodeEntry, demand: CompiledDemand): Obstacle | undefined {
  let found: Obstacle | undefined;
  const visit = (obstacle: Obstacle): boolean => {
    found = obstacle;
    return true;
  };
  if (!visitConditions(entry, demand, visit)) visitState(entry, demand, visit);
  return found;
}

/** What would keep a demand off a node even if it were ready and idle. A node that never reported counts as big enough. */
export function lastingObstacle(entry: NodeEntry, demand: CompiledDemand): Obstacle | undefined {
  let found: Obstacle | undefined;
  const visit = (obstacle: Obstacle): boolean => {
    found = obstacle;
    return true;
  };
  if (visitConditions(entry, demand, visit) || entry.node.capacity === undefined) return found;
  const idle = entry.devices.map(({ device }) => ({ device, usedMilli: 0, usedMemoryMib: 0 }));
  visitShortages(demand, { total: entry.total, used: {}, devices: idle }, visit);
  return found;
}

function visitObstacles(
  entry: NodeEntry,
  demand: CompiledDemand,
  limits: SpreadLimits | undefined,
  visit: Visit,
): boolean {
  return (
    visitConditions(entry, demand, visit) ||
    visitState(entry, demand, visit) ||
    visitCompany(entry, demand, limits, visit) ||
    visitRoom(entry, demand, visit)
  );
}

function visitConditions({ node }: NodeEntry, demand: CompiledDemand, visit: Visit): boolean {
  const { domain } = demand;
  if (domain !== undefined && labelOf(node.labels, domain.label) !== domain.value) {
    if (visit(plain(NodeRejection_Reason.SPREAD, domain.label))) return true;
  }
  for (const [label, value] of demand.selector) {
    if (labelOf(node.labels, label) === value) continue;
    if (visit(plain(NodeRejection_Reason.LABEL_MISMATCH, label))) return true;
  }
  for (const constraint of demand.constraints) {
    if (meetsConstraint(node.labels, constraint)) continue;
    if (visit(plain(NodeRejection_Reason.CONSTRAINT, constraint.label))) return true;
  }
  for (const taint of node.taints) {
    if (demand.tolerations.includes(taint)) continue;
    if (visit(plain(NodeRejection_Reason.TAINTED, taint))) return true;
  }
  if (demand.runtime === RuntimeKind.UNSPECIFIED || node.runtimes.includes(demand.runtime)) return false;
  return visit(plain(NodeRejection_Reason.RUNTIME_MISSING, RuntimeKind[demand.runtime].toLowerCase()));
}

function visitState(entry: NodeEntry, { demand }: CompiledDemand, visit: Visit): boolean {
  const { node } = entry;
  if (node.state !== NodeState.READY) {
    if (visit(plain(NodeRejection_Reason.NOT_READY, NodeState[node.state].toLowerCase()))) return true;
  }
  if (node.cordoned || node.draining) {
    if (visit(plain(NodeRejection_Reason.CORDONED, node.draining ? "draining" : "cordoned"))) return true;
  }
  const quarantine = quarantineOf(entry);
  if (quarantine !== undefined && visit(plain(NodeRejection_Reason.QUARANTINED, quarantine))) return true;
  const avoided = demand.avoid?.get(entry.id);
  return avoided !== undefined && visit(plain(NodeRejection_Reason.AVOIDED, avoided));
}

function visitCompany(
  entry: NodeEntry,
  demand: CompiledDemand,
  limits: SpreadLimits | undefined,
  visit: Visit,
): boolean {
  for (const { workload, apart } of demand.company) {
    if (entry.workloads.of(workload) > 0 !== apart) continue;
    if (visit(plain(NodeRejection_Reason.WORKLOAD, workload))) return true;
  }
  if (demand.isDistinct && entry.copies.of(demand.demand.spreadKey ?? "") > 0) {
    if (visit(plain(NodeRejection_Reason.SPREAD, "copies"))) return true;
  }
  if (limits === undefined || limits.allows(labelOf(entry.node.labels, limits.label))) return false;
  return visit(plain(NodeRejection_Reason.SPREAD, limits.label));
}

/** What room a node has. */
interface Room {
  readonly total: Readonly<Record<string, number>>;
  readonly used: Readonly<Record<string, number>>;
  readonly devices: readonly DeviceState[];
}

function visitRoom(entry: NodeEntry, demand: CompiledDemand, visit: Visit): boolean {
  if (entry.holds.size === 0) return visitShortages(demand, entry, visit);
  if (!visitShortages(demand, entry, () => true)) return false;
  const [hold] = entry.holds;
  const isHeld = !visitShortages(demand, withoutHolds(entry), () => true);
  if (isHeld) return visit(plain(NodeRejection_Reason.HELD, hold?.heldFor ?? ""));
  return visitShortages(demand, entry, visit);
}

function visitShortages(demand: CompiledDemand, room: Room, visit: Visit): boolean {
  for (const [dimension, wanted] of demand.amounts) {
    const total = room.total[dimension] ?? 0;
    const free = total - (room.used[dimension] ?? 0);
    if (wanted <= free) continue;
    if (visit({ reason: NodeRejection_Reason.RESOURCE_SHORT, subject: dimension, wanted, free, total })) return true;
  }
  if (demand.gpu === undefined) return false;
  const shortage = gpuShortage(room.devices, demand.gpu);
  return shortage !== undefined && visit({ reason: NodeRejection_Reason.RESOURCE_SHORT, ...shortage });
}

/** The node's room as it would be if nothing were held for jobs that wait. */
export function withoutHolds(entry: NodeEntry): Room {
  const used: Record<string, number> = { ...entry.used };
  const devices = entry.devices.map((state) => ({ ...state }));
  for (const held of entry.holds) {
    for (const [dimension, amount] of entry.amountsOf(held)) used[dimension] = (used[dimension] ?? 0) - amount;
    applyClaims(devices, held.claims, -1);
  }
  return { total: entry.total, used, devices };
}

function plain(reason: NodeRejection_Reason, subject: string): Obstacle {
  return { reason, subject, wanted: 0, free: 0, total: 0 };
}
