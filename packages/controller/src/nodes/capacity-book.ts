import { clone } from "@bufbuild/protobuf";
import { type Node, NodeSchema, type ResourceRequest, type Run, TaskState } from "@kedge/proto";
import { type Cluster, createCluster } from "@kedge/scheduler";
import { activeTasks } from "../runs/progress.ts";
import type { Stores } from "../stores.ts";
import type { NodeRegistry } from "./registry.ts";

/**
 * The scheduler's view of the world, kept in step with the documents: nodes from their documents and heartbeats,
 * reservations from runs and assignments. Reservations carry the task's or replica's id, so making one twice is
 * harmless and a crash loses none: the documents hold them.
 */
export class CapacityBook {
  readonly cluster: Cluster = createCluster();
  readonly #stores: Stores;
  readonly #registry: NodeRegistry;
  /** Task ids reserved for each run, to be given back when it forgets them. */
  readonly #byRun = new Map<string, Set<string>>();
  readonly #nodes = new Map<string, Node>();

  constructor(stores: Stores, registry: NodeRegistry) {
    this.#stores = stores;
    this.#registry = registry;
  }

  /** Takes everything that is stored into account; to be called once the stores are synced, at each start of the loops. */
  load(): void {
    const { nodes, runs, assignments } = this.#stores;
    for (const nodeId of [...keysOf(nodes), ...this.#nodes.keys()]) this.syncNode(nodeId);
    for (const runId of [...this.#byRun.keys()]) if (runs.get(runId) === undefined) this.restoreRun(runId, undefined);
    for (const [, { value }] of runs.entries()) this.releaseEnded(value);
    for (const nodeId of new Set([...keysOf(assignments), ...this.#nodes.keys()])) this.syncAssignment(nodeId);
  }

  /** Tells whether "no node could ever" may be said: every node has reported what it is. */
  knowsEveryNode(): boolean {
    return [...this.#nodes.values()].every((node) => node.agentVersion !== "");
  }

  node(nodeId: string): Node | undefined {
    return this.#nodes.get(nodeId);
  }

  /** Takes over a node's newest document and live state; to be called when either changes. */
  syncNode(nodeId: string): void {
    const stored = this.#stores.nodes.get(nodeId)?.value;
    if (stored === undefined) {
      this.#nodes.delete(nodeId);
      this.cluster.removeNode(nodeId);
      return;
    }
    const node = clone(NodeSchema, stored);
    node.state = this.#registry.state(nodeId);
    node.cordoned ||= node.draining;
    this.#nodes.set(nodeId, node);
    const heartbeat = this.#registry.latest(nodeId);
    this.cluster.upsertNode(node, heartbeat && { images: heartbeat.cachedImages, models: heartbeat.cachedModels });
  }

  /** Makes the reservations of a node's replicas those of its assignment. */
  syncAssignment(nodeId: string): void {
    const replicas = this.#stores.assignments.get(nodeId)?.value.replicas ?? [];
    const wanted = new Set(replicas.map((replica) => replica.replicaId));
    for (const { key, spreadKey } of this.cluster.reservationsOn(nodeId)) {
      if (spreadKey !== undefined && !wanted.has(key)) this.cluster.release(key);
    }
    for (const replica of replicas) {
      if (this.cluster.reservation(replica.replicaId)?.nodeId === nodeId) continue;
      const spreadKey = `${replica.deployment}-${replica.revision}`;
      this.cluster.reserve(nodeId, replica.replicaId, replica.template?.resources, { spreadKey });
    }
  }

  /** Reserves room for a task. */
  reserveTask(
    runId: string,
    nodeId: string,
    taskId: string,
    request: ResourceRequest | undefined,
    gpus: readonly number[],
  ): void {
    this.cluster.reserve(nodeId, taskId, request, { gpuIndices: gpus });
    const tasks = this.#byRun.get(runId) ?? new Set();
    this.#byRun.set(runId, tasks.add(taskId));
  }

  /** Makes the run's reservations those of its live tasks. */
  releaseEnded(run: Run): void {
    const active = activeTasks(run);
    const live = new Set(active.map((task) => task.taskId));
    for (const taskId of this.#byRun.get(run.id) ?? []) {
      if (live.has(taskId)) continue;
      this.cluster.release(taskId);
      this.#byRun.get(run.id)?.delete(taskId);
    }
    for (const { job, taskId, nodeId, state } of active) {
      if (state === TaskState.UNSPECIFIED || this.cluster.reservation(taskId) !== undefined) continue;
      this.reserveTask(run.id, nodeId, taskId, job.spec?.resources, []);
    }
    if (live.size === 0) this.#byRun.delete(run.id);
  }

  /** Undoes reservations for a state of a run that could not be stored. */
  restoreRun(runId: string, stored: Run | undefined): void {
    if (stored !== undefined) {
      this.releaseEnded(stored);
      return;
    }
    for (const taskId of this.#byRun.get(runId) ?? []) this.cluster.release(taskId);
    this.#byRun.delete(runId);
  }
}

function keysOf(store: { entries(): Iterable<[string, unknown]> }): string[] {
  return [...store.entries()].map(([key]) => key);
}
