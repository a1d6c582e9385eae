import { create } from "@bufbuild/protobuf";
import {
  type Deployment,
  type DeploymentSpec,
  NodeState,
  type PlacementExplanation,
  type ReplicaAssignment,
  ReplicaAssignmentSchema,
  type ReplicaMove,
  ReplicaState,
  type Revision,
} from "@kedge/proto";
import { type Demand, eligibleNodes, explain, fits, place } from "@kedge/scheduler";
import type { AssignmentWriter } from "../nodes/assignment-writer.ts";
import type { CapacityBook } from "../nodes/capacity-book.ts";
import type { NodeRegistry } from "../nodes/registry.ts";
import type { Scheduling } from "../scheduling/scheduling.ts";
import { isNewcomer } from "./moves.ts";
import { avoidedNodes, mayStay, replicaDemand } from "./replica-demand.ts";
import { freeReplicaId } from "./replica-id.ts";

/** Where a revision's replicas are to be. */
export interface ReplicaPlan {
  readonly byNode: ReadonlyMap<string, readonly ReplicaAssignment[]>;
  /** Why some are missing. */
  readonly pending?: PlacementExplanation;
  /** One for each that found no room, to be made for it. */
  readonly missing?: readonly Demand[];
}

/** What there is of a deployment is looked at with. */
export interface WorldContext {
  readonly book: CapacityBook;
  readonly registry: NodeRegistry;
  readonly assignments: AssignmentWriter;
}

/** What replicas are planned with. */
export interface PlanContext extends WorldContext {
  /** Has room that jobs made for replicas. */
  readonly scheduling: Pick<Scheduling, "takeRoom">;
}

interface Subject {
  readonly deployment: Deployment;
  readonly spec: DeploymentSpec;
  readonly revision: Revision;
  readonly context: WorldContext;
}

/** A replica and its node. */
export interface Placed {
  readonly nodeId: string;
  readonly replica: ReplicaAssignment;
}

/** How much of a revision is wanted just now; absent: all of it. */
export interface PlanLimit {
  /** Those that are not ready go first. */
  readonly replicas?: number | undefined;
  /** Nodes that it may be on already. */
  readonly isReached?: ((nodeId: string) => boolean) | undefined;
}

/** What a revision has, and what it is to have at full scale. */
export interface RevisionScope {
  /** Replicas that may stay where they are. */
  readonly staying: readonly Placed[];
  /** Replicas at full scale. */
  readonly desired: number;
  /** Of a deployment with replicas on every node: those nodes, by id, as far as they are not lost. */
  readonly nodes: readonly string[];
}

/** Looks at what there is of a revision. Nothing changes. */
export function revisionScope(deployment: Deployment, revision: Revision, context: WorldContext): RevisionScope {
  const spec = deployment.spec;
  if (spec === undefined) return { staying: [], desired: 0, nodes: [] };
  const subject = { deployment, spec, revision, context };
  const placed = staying(subject);
  if (spec.scale.case !== "replicasPerNode") return { staying: placed, desired: spec.scale.value ?? 1, nodes: [] };
  // Those that a controller which has just started has not heard of yet count as alive.
  const nodes = nodesOf(subject, placed).filter((nodeId) => context.registry.state(nodeId) !== NodeState.LOST);
  return { staying: placed, desired: Math.max(1, nodes.length) * spec.scale.value, nodes };
}

/** Decides where the replicas of one revision run. Replicas that are placed already stay where they are if they may. */
export function planReplicas(
  deployment: Deployment,
  revision: Revision,
  context: PlanContext,
  limit: PlanLimit = {},
): ReplicaPlan {
  const spec = deployment.spec;
  if (spec === undefined) return { byNode: new Map() };
  const subject = { deployment, spec, revision, context };
  if (spec.scale.case === "replicasPerNode") return planPerNode(subject, spec.scale.value, limit);
  const total = spec.scale.value ?? 1;
  return planTotal(subject, Math.min(total, limit.replicas ?? total), context.scheduling);
}

function demandOf({ deployment, spec, revision, context }: Subject, key: string): Demand {
  return { ...replicaDemand(spec, revision, key, context.book), avoid: avoidedNodes(deployment, revision) };
}

/** Every node that the revision is on or fits, by id. */
function nodesOf(subject: Subject, placed: readonly Placed[]): string[] {
  const demand = demandOf(subject, "probe");
  const fitting = eligibleNodes(subject.context.book.cluster, demand).fitting;
  return [...new Set([...placed.map(({ nodeId }) => nodeId), ...fitting])].sort();
}

function planPerNode(subject: Subject, perNode: number, { replicas, isReached }: PlanLimit): ReplicaPlan {
  const { context } = subject;
  const present = staying(subject);
  const nodes = nodesOf(subject, present).filter((nodeId) => isReached?.(nodeId) ?? true);
  const placed = Map.groupBy(present, ({ nodeId }) => nodeId);
  const byNode = new Map<string, ReplicaAssignment[]>();
  let left = replicas ?? nodes.length * perNode;
  for (const nodeId of replicas === undefined ? nodes : byNeed(subject, nodes, placed)) {
    const count = Math.min(perNode, left);
    left -= count;
    const here = (placed.get(nodeId) ?? []).map(({ replica }) => replica).slice(0, count);
    while (here.length < count) here.push(newReplica(subject, nodeId, here));
    byNode.set(nodeId, here);
  }
  const demand = demandOf(subject, "probe");
  return { byNode, ...(nodes.length === 0 ? { pending: explain(context.book.cluster, demand) } : {}) };
}

/**
 * While replicas are exchanged: first the nodes where the revision is ready and the other is not, then where it is ready or
 * at least placed, then where nothing else serves. So no node loses all it has while another has both.
 */
function byNeed({ spec, revision, context }: Subject, nodes: string[], placed: ReadonlyMap<string, unknown>): string[] {
  const own = new Set<string>();
  const other = new Set<string>();
  for (const { nodeId, replica } of context.registry.replicas(spec.name)) {
    if (replica.state === ReplicaState.READY) (replica.revision === revision.number ? own : other).add(nodeId);
  }
  const rank = (nodeId: string): number =>
    4 * Number(!own.has(nodeId)) + 2 * Number(!placed.has(nodeId)) + Number(other.has(nodeId));
  return nodes.toSorted((a, b) => rank(a) - rank(b));
}

function planTotal(subject: Subject, total: number, scheduling: PlanContext["scheduling"]): ReplicaPlan {
  const { spec, revision, context } = subject;
  const { book, registry } = context;
  const { kept, newcomers } = carryOutMoves(subject, staying(subject), total);
  const isSilent = ({ nodeId }: Placed): boolean => registry.state(nodeId) === NodeState.LOST;
  const planned = kept.filter((placed) => !isSilent(placed)).slice(0, total + newcomers);
  const demand = demandOf(subject, `${spec.name}-${revision.number}-probe`);
  let pending: PlacementExplanation | undefined;
  while (planned.length < total) {
    const result = place(book.cluster, demand);
    const found = result.kind === "placed" ? result : scheduling.takeRoom(spec.name, demand);
    if (found === undefined) {
      pending = result.explanation;
      break;
    }
    const { nodeId, gpuIndices } = found;
    const here = planned.filter((placed) => placed.nodeId === nodeId).map(({ replica }) => replica);
    planned.push({ nodeId, replica: newReplica(subject, nodeId, here, gpuIndices) });
  }
  const missing = Array.from({ length: total - planned.length }, () => demand);
  // Nobody can stand in for them: a node that was only cut off for a moment goes on serving.
  for (const silent of kept.filter(isSilent)) if (planned.length < total) planned.push(silent);
  const byNode = new Map<string, ReplicaAssignment[]>();
  for (const { nodeId, replica } of planned) byNode.set(nodeId, [...(byNode.get(nodeId) ?? []), replica]);
  return { byNode, ...(pending === undefined ? {} : { pending, missing }) };
}

/**
 * Takes the moves under way into account: the new replica starts beside the old one, which goes once the new one is ready
 * and enough others are. `newcomers` counts those that are kept beyond the scale meanwhile.
 */
function carryOutMoves(
  subject: Subject,
  placed: readonly Placed[],
  total: number,
): { readonly kept: readonly Placed[]; readonly newcomers: number } {
  const { deployment, spec, revision, context } = subject;
  const ready = readyReplicas(spec.name, context.registry);
  const kept = [...placed];
  let newcomers = 0;
  for (const move of deployment.moves) {
    const at = kept.findIndex(({ replica }) => replica.replicaId === move.replicaId);
    if (move.revision !== revision.number || at < 0) continue;
    const newcomer = kept.find((candidate) => isNewcomer(candidate, move)) ?? startNewcomer(subject, move);
    if (newcomer === undefined) continue;
    if (!kept.includes(newcomer)) kept.push(newcomer);
    const others = kept.filter(({ replica }, i) => i !== at && ready.has(replica.replicaId)).length;
    // One that is not ready itself is no loss.
    const isSpare = others >= total || !ready.has(move.replicaId);
    if (ready.has(newcomer.replica.replicaId) && isSpare) kept.splice(at, 1);
    else newcomers++;
  }
  // When a move was given up, what serves stays.
  const rank = ({ replica }: Placed): number => Number(!ready.has(replica.replicaId));
  return { kept: kept.toSorted((a, b) => rank(a) - rank(b)), newcomers };
}

function startNewcomer(subject: Subject, { toNodeId, newReplicaId }: ReplicaMove): Placed | undefined {
  const { cluster } = subject.context.book;
  const replicaId = newReplicaId || freeReplicaId([], replicaNames(subject, toNodeId));
  const fit = fits(cluster, toNodeId, demandOf(subject, replicaId));
  if (fit.kind !== "fits") return undefined;
  return {
    nodeId: toNodeId,
    replica: makeReplica(subject, { nodeId: toNodeId, replicaId, gpuIndices: fit.gpuIndices }),
  };
}

function readyReplicas(deployment: string, registry: NodeRegistry): ReadonlySet<string> {
  const ready = new Set<string>();
  for (const { replica } of registry.replicas(deployment)) {
    if (replica.state === ReplicaState.READY) ready.add(replica.replicaId);
  }
  return ready;
}

/** The revision's replicas that may stay where they are. */
function staying(subject: Subject): Placed[] {
  const { spec, revision, context } = subject;
  const placed = [...context.assignments.replicas(spec.name)];
  return placed.filter(({ nodeId, replica }) => {
    if (replica.revision !== revision.number) return false;
    return mayStay(nodeId, demandOf(subject, replica.replicaId), context.book);
  });
}

/** Makes one more replica for a node and reserves its room. */
function newReplica(
  subject: Subject,
  nodeId: string,
  here: readonly ReplicaAssignment[],
  gpuIndices?: readonly number[],
): ReplicaAssignment {
  const used = here.map((replica) => replica.replicaId);
  const replicaId = freeReplicaId(used, replicaNames(subject, nodeId));
  const demand = demandOf(subject, replicaId);
  const fit = gpuIndices === undefined ? fits(subject.context.book.cluster, nodeId, demand) : undefined;
  const indices = gpuIndices ?? (fit?.kind === "fits" ? fit.gpuIndices : []);
  return makeReplica(subject, { nodeId, replicaId, gpuIndices: indices });
}

interface NewReplica {
  readonly nodeId: string;
  readonly replicaId: string;
  readonly gpuIndices: readonly number[];
}

function makeReplica({ spec, revision, context }: Subject, { nodeId, replicaId, gpuIndices }: NewReplica) {
  const replica = create(ReplicaAssignmentSchema, {
    replicaId,
    deployment: spec.name,
    revision: revision.number,
    ...(revision.template === undefined ? {} : { template: revision.template }),
    manifestDigest: revision.manifestDigest,
    gpuIndices: [...gpuIndices],
  });
  context.book.reserveReplica(nodeId, replica);
  return replica;
}

function replicaNames({ spec, revision }: Subject, nodeId: string) {
  return { deployment: spec.name, revision: revision.number, nodeId };
}
