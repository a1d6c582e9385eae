import { create } from "@bufbuild/protobuf";
import {
  type Deployment,
  type DeploymentSpec,
  NodeState,
  type PlacementExplanation,
  type ReplicaAssignment,
  ReplicaAssignmentSchema,
  type Revision,
  RuntimeKind,
} from "@kedge/proto";
import { type Demand, eligibleNodes, explain, place } from "@kedge/scheduler";
import type { AssignmentWriter } from "../nodes/assignment-writer.ts";
import type { CapacityBook } from "../nodes/capacity-book.ts";
import type { NodeRegistry } from "../nodes/registry.ts";

/** Where a revision's replicas are to be. */
export interface ReplicaPlan {
  readonly byNode: ReadonlyMap<string, readonly ReplicaAssignment[]>;
  /** Replicas at full scale; more than are planned when some find no room. */
  readonly desired: number;
  /** Why some are missing. */
  readonly pending?: PlacementExplanation;
}

/** What replicas are planned with. */
export interface PlanContext {
  readonly book: CapacityBook;
  readonly registry: NodeRegistry;
  readonly assignments: AssignmentWriter;
}

/** Decides where the replicas of one revision run. Replicas that are placed already stay where they are if they may. */
export function planReplicas(deployment: Deployment, revision: Revision, context: PlanContext): ReplicaPlan {
  const spec = deployment.spec;
  if (spec === undefined) return { byNode: new Map(), desired: 0 };
  return spec.scale.case === "replicasPerNode"
    ? planPerNode(spec, revision, spec.scale.value, context)
    : planTotal(spec, revision, spec.scale.value ?? 1, context);
}

function planPerNode(spec: DeploymentSpec, revision: Revision, perNode: number, context: PlanContext): ReplicaPlan {
  const demand = replicaDemand(spec, revision, "probe");
  const placed = placedByNode(spec, revision, context);
  const nodes = new Set([...placed.keys()].filter((nodeId) => mayStay(nodeId, spec, context)));
  for (const nodeId of eligibleNodes(context.book.cluster, demand).fitting) nodes.add(nodeId);
  const byNode = new Map<string, ReplicaAssignment[]>();
  for (const nodeId of [...nodes].sort()) {
    const replicas = Array.from({ length: perNode }, (_, i) => replicaAssignment(spec, revision, nodeId, i));
    const options = { spreadKey: demand.spreadKey };
    for (const replica of replicas) {
      context.book.cluster.reserve(nodeId, replica.replicaId, revision.template?.resources, options);
    }
    byNode.set(nodeId, replicas);
  }
  // Those that a controller which has just started has not heard of yet count as alive.
  const alive = [...nodes].filter((nodeId) => context.registry.state(nodeId) !== NodeState.LOST);
  const desired = Math.max(1, alive.length) * perNode;
  return { byNode, desired, ...(nodes.size === 0 ? { pending: explain(context.book.cluster, demand) } : {}) };
}

function planTotal(spec: DeploymentSpec, revision: Revision, total: number, context: PlanContext): ReplicaPlan {
  const { book } = context;
  const byNode = new Map<string, ReplicaAssignment[]>();
  let count = 0;
  const silent: [string, ReplicaAssignment[]][] = [];
  const keep = (nodeId: string, replicas: readonly ReplicaAssignment[]): void => {
    const kept = replicas.slice(0, Math.max(0, total - count));
    if (kept.length > 0) byNode.set(nodeId, kept);
    count += kept.length;
  };
  for (const [nodeId, replicas] of placedByNode(spec, revision, context)) {
    if (!mayStay(nodeId, spec, context)) continue;
    if (context.registry.state(nodeId) === NodeState.LOST) silent.push([nodeId, replicas]);
    else keep(nodeId, replicas);
  }
  let pending: PlacementExplanation | undefined;
  for (; count < total; count++) {
    const demand = replicaDemand(spec, revision, `${spec.name}-${revision.number}-probe`);
    const result = place(book.cluster, demand);
    if (result.kind === "unplaced") {
      pending = explain(book.cluster, demand);
      break;
    }
    const here = byNode.get(result.nodeId) ?? [];
    const replica = replicaAssignment(spec, revision, result.nodeId, freeIndex(here, spec, revision, result.nodeId));
    const options = { gpuIndices: result.gpuIndices, spreadKey: demand.spreadKey };
    book.cluster.reserve(result.nodeId, replica.replicaId, revision.template?.resources, options);
    byNode.set(result.nodeId, [...here, replica]);
  }
  // Nobody can stand in for them: a node that was only cut off for a moment goes on serving.
  for (const [nodeId, replicas] of silent) keep(nodeId, replicas);
  return { byNode, desired: total, ...(pending === undefined ? {} : { pending }) };
}

/** A node that is gone for good, drained or no longer selected gives its replicas up; one that is merely silent does not. */
function mayStay(nodeId: string, spec: DeploymentSpec, { book }: PlanContext): boolean {
  const node = book.node(nodeId);
  if (node === undefined || node.draining) return false;
  return Object.entries(spec.placement?.nodeSelector ?? {}).every(([key, value]) => node.labels[key] === value);
}

function placedByNode(
  spec: DeploymentSpec,
  revision: Revision,
  { assignments }: PlanContext,
): Map<string, ReplicaAssignment[]> {
  const placed = new Map<string, ReplicaAssignment[]>();
  for (const { nodeId, replica } of assignments.replicas(spec.name)) {
    if (replica.revision !== revision.number) continue;
    placed.set(nodeId, [...(placed.get(nodeId) ?? []), replica]);
  }
  return placed;
}

function replicaDemand(spec: DeploymentSpec, revision: Revision, key: string): Demand {
  const template = revision.template;
  const source = template?.source;
  const isImage = source?.case === "image";
  return {
    key,
    resources: template?.resources,
    placement: spec.placement,
    runtime: template?.runtime || (isImage ? RuntimeKind.DOCKER : RuntimeKind.PROCESS),
    spreadKey: `${spec.name}-${revision.number}`,
    ...(isImage ? { images: [source.value] } : { models: [revision.manifestDigest] }),
  };
}

function replicaAssignment(spec: DeploymentSpec, revision: Revision, nodeId: string, index: number): ReplicaAssignment {
  return create(ReplicaAssignmentSchema, {
    // Names may hold dashes, but no dots.
    replicaId: [spec.name, revision.number, nodeId, index].join("."),
    deployment: spec.name,
    revision: revision.number,
    ...(revision.template === undefined ? {} : { template: revision.template }),
    manifestDigest: revision.manifestDigest,
  });
}

function freeIndex(
  here: readonly ReplicaAssignment[],
  spec: DeploymentSpec,
  revision: Revision,
  nodeId: string,
): number {
  const used = new Set(here.map((replica) => replica.replicaId));
  let index = 0;
  while (used.has(replicaAssignment(spec, revision, nodeId, index).replicaId)) index++;
  return index;
}
