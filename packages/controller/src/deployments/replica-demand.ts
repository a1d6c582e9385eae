import { type Deployment, type DeploymentSpec, NodeRejection_Reason, type Revision, RuntimeKind } from "@kedge/proto";
import { type Demand, fits } from "@kedge/scheduler";
import { type CapacityBook, replicaSpreadKey } from "../nodes/capacity-book.ts";
import { withRoomFree } from "../scheduling/own-room.ts";

/** The demand a replica makes on the scheduler. */
export function replicaDemand(spec: DeploymentSpec, revision: Revision, key: string, book: CapacityBook): Demand {
  const source = revision.template?.source;
  const isImage = source?.case === "image";
  const name = isImage ? source.value : revision.manifestDigest;
  const bytes = isImage ? book.imageBytes(name) : book.modelBytes(name);
  return {
    key,
    resources: revision.template?.resources,
    placement: spec.placement,
    runtime: revision.template?.runtime || (isImage ? RuntimeKind.DOCKER : RuntimeKind.PROCESS),
    spreadKey: replicaSpreadKey(spec.name, revision.number),
    workload: spec.name,
    artifacts: name === "" ? [] : [{ name, bytes }],
  };
}

/** Nodes that a revision keeps off for a while, with the reasons; undefined when there is none. */
export function avoidedNodes(
  { avoidedNodes }: Deployment,
  { number }: Pick<Revision, "number">,
): ReadonlyMap<string, string> | undefined {
  const own = avoidedNodes.filter(({ revision }) => revision === number);
  return own.length === 0 ? undefined : new Map(own.map(({ nodeId, reason }) => [nodeId, reason]));
}

/** Conditions that must hold for as long as a replica runs; room, taints and a node's state count when it is placed. */
const BROKEN: ReadonlySet<NodeRejection_Reason> = new Set([
  NodeRejection_Reason.LABEL_MISMATCH,
  NodeRejection_Reason.CONSTRAINT,
  NodeRejection_Reason.WORKLOAD,
]);

/**
 * Tells whether a placed replica may stay. A node that is gone for good, drained, or no longer what the placement demands
 * gives it up; one that is merely silent does not. Copies that became uneven stay: moving them is a rebalance's work.
 */
export function mayStay(nodeId: string, demand: Demand, book: CapacityBook): boolean {
  const node = book.node(nodeId);
  if (node === undefined || node.draining) return false;
  // Conditions on the node come before its state and its room; only those on its company need a look without itself.
  const hasCompany = demand.placement?.workloads.some(({ required }) => required) === true;
  const look = () => fits(book.cluster, nodeId, demand);
  const found = hasCompany ? withRoomFree(book.cluster, demand, look) : look();
  return found.kind !== "obstacle" || !BROKEN.has(found.obstacle.reason);
}
