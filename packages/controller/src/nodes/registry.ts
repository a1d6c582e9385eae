import { clone, create, equals } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { isSealKeyOf, type StoredLease } from "@kedge/bus";
import type { Clock } from "@kedge/kernel";
import {
  CapacitySchema,
  type Heartbeat,
  type Node,
  NodeSchema,
  NodeState,
  type ReplicaStatus,
  type SealKey,
  SealKeySchema,
} from "@kedge/proto";
import type { Stores } from "../stores.ts";

/** Without a heartbeat for this long a node gets no new work. */
export const NODE_LOST_AFTER_MS = 10_000;
/** A node may keep its tasks for this long after its last stored lease renewal... */
export const LEASE_MS = 30_000;
/** ...and they are given away only after this much more, which covers the agent's own stopping. */
export const LEASE_MARGIN_MS = 5_000;

/** Most tasks of a node that are watched; a node that lists more lies. */
const MAX_TASKS_SEEN = 2_000;

/** How long a task is remembered after it was last listed by its node. */
const TASK_MEMORY_MS = 60_000;

interface LiveNode {
  readonly heartbeat: Heartbeat;
  readonly heartbeatAtMs: number;
  /** When each task was last among the running ones. */
  readonly tasksSeenAtMs: Map<string, number>;
}

/**
 * What is known of nodes besides their documents: heartbeats and leases. Lives in memory; a controller that starts
 * learns it anew within one heartbeat.
 */
export class NodeRegistry {
  readonly #stores: Stores;
  readonly #clock: Clock;
  readonly #live = new Map<string, LiveNode>();
  readonly #leases = new Map<string, number>();
  readonly #told = new Map<string, NodeState>();
  #startedAtMs: number;
  readonly #listeners = new Set<(nodeId: string, previous: Heartbeat | undefined) => void>();

  constructor(stores: Stores, clock: Clock) {
    this.#stores = stores;
    this.#clock = clock;
    this.#startedAtMs = clock.now();
  }

  /** Forgets what may be out of date after a time in which nobody listened. Leases stay: they only ever grow. */
  restart(): void {
    this.#live.clear();
    this.#told.clear();
    this.#startedAtMs = this.#clock.now();
  }

  /** Calls back after each heartbeat taken, with the one before it; the result unsubscribes. */
  onHeartbeat(listener: (nodeId: string, previous: Heartbeat | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes a heartbeat; those of unknown nodes and those older than the newest of the same boot are ignored. */
  heartbeat(heartbeat: Heartbeat): void {
    if (this.#stores.nodes.get(heartbeat.nodeId) === undefined) return;
    const live = this.#live.get(heartbeat.nodeId);
    const previous = live?.heartbeat;
    if (previous?.bootId === heartbeat.bootId && previous.sequence >= heartbeat.sequence) return;
    const nowMs = this.#clock.now();
    const seen = live?.tasksSeenAtMs ?? new Map<string, number>();
    for (const [taskId, atMs] of seen) if (nowMs - atMs >= TASK_MEMORY_MS) seen.delete(taskId);
    for (const task of heartbeat.runningTasks) {
      if (seen.size < MAX_TASKS_SEEN || seen.has(task.taskId)) seen.set(task.taskId, nowMs);
    }
    this.#live.set(heartbeat.nodeId, { heartbeat, heartbeatAtMs: nowMs, tasksSeenAtMs: seen });
    for (const listener of this.#listeners) listener(heartbeat.nodeId, previous);
  }

  lease(observation: StoredLease): void {
    const known = this.#leases.get(observation.nodeId) ?? 0;
    this.#leases.set(observation.nodeId, Math.max(known, observation.atMs));
  }

  /** Forgets a node that was removed. Its lease counts until it has run out: the agent keeps its tasks that long. */
  forget(nodeId: string): void {
    this.#live.delete(nodeId);
    for (const [known, atMs] of this.#leases) {
      if (this.#clock.now() - atMs > LEASE_MS + LEASE_MARGIN_MS) this.#leases.delete(known);
    }
  }

  latest(nodeId: string): Heartbeat | undefined {
    return this.#live.get(nodeId)?.heartbeat;
  }

  state(nodeId: string): NodeState {
    const live = this.#live.get(nodeId);
    if (live !== undefined && this.#clock.now() - live.heartbeatAtMs < NODE_LOST_AFTER_MS) return NodeState.READY;
    if (live !== undefined) return NodeState.LOST;
    // A controller that has just started gives every node time for a heartbeat before it calls it lost.
    const known = this.#stores.nodes.get(nodeId)?.value.agentVersion !== "";
    const settling = this.#clock.now() - this.#startedAtMs < NODE_LOST_AFTER_MS;
    return known && !settling ? NodeState.LOST : NodeState.JOINING;
  }

  /** Tells whether a node's state is another than when this was last asked. */
  noteState(nodeId: string): boolean {
    const state = this.#stores.nodes.get(nodeId) === undefined ? undefined : this.state(nodeId);
    if (this.#told.get(nodeId) === state) return false;
    if (state === undefined) this.#told.delete(nodeId);
    else this.#told.set(nodeId, state);
    return true;
  }

  /** Tells whether the node's tasks may be given away: its lease has run out by the store's own time stamps. */
  isLeaseExpired(nodeId: string, claimedAtMs: number): boolean {
    // A lease nobody here has seen may have been renewed just before we started.
    const renewedAtMs = Math.max(this.#leases.get(nodeId) ?? this.#startedAtMs, claimedAtMs);
    return this.#clock.now() - renewedAtMs > LEASE_MS + LEASE_MARGIN_MS;
  }

  /** When the node last listed the task as running; never earlier than this registry's own start. */
  lastListedMs(nodeId: string, taskId: string): number {
    return this.#live.get(nodeId)?.tasksSeenAtMs.get(taskId) ?? this.#startedAtMs;
  }

  /** The replicas of a deployment that live nodes report, with the node's id. */
  *replicas(deployment?: string): Iterable<{ nodeId: string; replica: ReplicaStatus }> {
    for (const [nodeId, live] of this.#live) {
      if (this.state(nodeId) !== NodeState.READY) continue;
      for (const replica of live.heartbeat.replicas) {
        if (deployment === undefined || replica.deployment === deployment) yield { nodeId, replica };
      }
    }
  }

  /** Ids of the nodes that answer now. */
  *readyNodes(): Iterable<string> {
    for (const nodeId of this.#live.keys()) if (this.state(nodeId) === NodeState.READY) yield nodeId;
  }

  /** The document with live state filled in, as the API shows it. */
  describe(node: Node): Node {
    const shown = clone(NodeSchema, node);
    const live = this.#live.get(node.id);
    shown.state = this.state(node.id);
    if (live === undefined) return shown;
    shown.lastHeartbeatAt = timestampFromMs(live.heartbeatAtMs);
    shown.replicas = live.heartbeat.replicas;
    shown.runningTasks = live.heartbeat.runningTasks;
    return shown;
  }
}

const MAX_RUNTIMES = 8;
const MAX_VERSION = 64;
/** host:port as clients are told it; anything else from a node is left out. */
const GATEWAY_ADDRESS = /^(?:\[[0-9a-fA-F:]{2,45}\]|[A-Za-z0-9.-]{1,253}):[0-9]{1,5}$/;

/** Only what the node's own nkey has signed is kept. */
function isNewSealKey({ id, publicKey, sealKey }: Node, told: SealKey | undefined): told is SealKey {
  if (told === undefined || (sealKey !== undefined && equals(SealKeySchema, sealKey, told))) return false;
  return told.$unknown === undefined && isSealKeyOf(id, publicKey, told);
}

/** The node document after a heartbeat; undefined when nothing that is kept has changed. */
export function refreshNode(node: Node, heartbeat: Heartbeat): Node | undefined {
  const next = clone(NodeSchema, node);
  next.capacity = heartbeat.capacity ?? create(CapacitySchema);
  next.runtimes = heartbeat.runtimes.slice(0, MAX_RUNTIMES);
  next.agentVersion = heartbeat.agentVersion.slice(0, MAX_VERSION) || "unknown";
  next.gatewayAddress = GATEWAY_ADDRESS.test(heartbeat.gatewayAddress) ? heartbeat.gatewayAddress : "";
  if (isNewSealKey(node, heartbeat.sealKey)) next.sealKey = heartbeat.sealKey;
  return equals(NodeSchema, node, next) ? undefined : next;
}
