import { clone, create, equals } from "@bufbuild/protobuf";
import { type Node, NodeSchema, type ReplicaAssignment } from "@kedge/proto";
import { type Cluster, createCluster } from "@kedge/scheduler";
import type { Stores } from "../stores.ts";
import type { NodeRegistry } from "./registry.ts";

/** Most images whose size is remembered. */
const MAX_IMAGES = 10_000;

/**
 * The scheduler's view of the world, kept in step with the documents: nodes from their documents and heartbeats,
 * replicas from assignments. Jobs are kept by `scheduling/`. Reservations carry the task's or replica's id, so making
 * one twice is harmless and a crash loses none: the documents hold them.
 */
export class CapacityBook {
  #cluster = createCluster();
  readonly #stores: Stores;
  readonly #registry: NodeRegistry;
  readonly #nodes = new Map<string, Node>();
  /** Nodes that have not told yet what they are. */
  readonly #unknown = new Set<string>();
  /** Ids of the replicas reserved on each node. */
  readonly #replicas = new Map<string, Set<string>>();
  readonly #modelBytes = new Map<string, number>();
  readonly #imageBytes = new Map<string, number>();
  #version = 0;

  constructor(stores: Stores, registry: NodeRegistry) {
    this.#stores = stores;
    this.#registry = registry;
  }

  /** Begins anew with the nodes and assignments that are stored; to be called at each start of the loops. */
  load(): void {
    const { nodes, assignments } = this.#stores;
    this.#cluster = createCluster();
    for (const known of [this.#nodes, this.#unknown, this.#replicas]) known.clear();
    for (const [nodeId] of nodes.entries()) this.syncNode(nodeId);
    for (const [nodeId] of assignments.entries()) this.syncAssignment(nodeId);
  }

  /** Nodes and reservations. Another object after each `load`. */
  get cluster(): Cluster {
    return this.#cluster;
  }

  /** Bytes of an image, the most that any node has reported; 0 when none has. */
  imageBytes(image: string): number {
    return this.#imageBytes.get(image) ?? 0;
  }

  /** Bytes of the model version with a manifest digest; 0 when there is none. */
  modelBytes(digest: string): number {
    const { modelVersions } = this.#stores;
    if (this.#modelBytes.size !== modelVersions.size) {
      this.#modelBytes.clear();
      for (const [, { value }] of modelVersions.entries()) this.#modelBytes.set(value.digest, Number(value.sizeBytes));
    }
    return this.#modelBytes.get(digest) ?? 0;
  }

  /** Grows when a node comes, goes, or becomes another in what it is, not in how it is. */
  get version(): number {
    return this.#version;
  }

  /** Tells whether "no node could ever" may be said: every node has reported what it is. */
  knowsEveryNode(): boolean {
    return this.#unknown.size === 0;
  }

  node(nodeId: string): Node | undefined {
    return this.#nodes.get(nodeId);
  }

  /** Takes over a node's newest document and live state; to be called when either changes. */
  syncNode(nodeId: string): void {
    const stored = this.#stores.nodes.get(nodeId)?.value;
    const known = this.#nodes.get(nodeId);
    if (stored === undefined || known === undefined || !isSameKind(stored, known)) this.#version++;
    if (stored === undefined) {
      this.#nodes.delete(nodeId);
      this.#unknown.delete(nodeId);
      this.cluster.removeNode(nodeId);
      return;
    }
    const node = clone(NodeSchema, stored);
    node.state = this.#registry.state(nodeId);
    node.cordoned ||= node.draining;
    this.#nodes.set(nodeId, node);
    if (node.agentVersion === "") this.#unknown.add(nodeId);
    else this.#unknown.delete(nodeId);
    const heartbeat = this.#registry.latest(nodeId);
    this.cluster.upsertNode(node, heartbeat && { images: heartbeat.cachedImages, models: heartbeat.cachedModels });
    for (const [image, bytes] of Object.entries(heartbeat?.imageBytes ?? {})) this.#learnImage(image, Number(bytes));
  }

  #learnImage(image: string, bytes: number): void {
    if (bytes <= this.imageBytes(image)) return;
    this.#imageBytes.set(image, bytes);
    const [oldest] = this.#imageBytes.keys();
    if (this.#imageBytes.size > MAX_IMAGES && oldest !== undefined) this.#imageBytes.delete(oldest);
  }

  /** Makes the reservations of a node's replicas those of its assignment. */
  syncAssignment(nodeId: string): void {
    const replicas = this.#stores.assignments.get(nodeId)?.value.replicas ?? [];
    const wanted = new Set(replicas.map((replica) => replica.replicaId));
    for (const key of this.#replicas.get(nodeId) ?? []) {
      if (!wanted.has(key)) this.#release(nodeId, key);
    }
    for (const replica of replicas) {
      if (this.cluster.reservation(replica.replicaId)?.nodeId !== nodeId) this.reserveReplica(nodeId, replica);
    }
  }

  /** Reserves room for a replica, until its node's assignment is synced without it. */
  reserveReplica(nodeId: string, replica: ReplicaAssignment): void {
    const { replicaId, deployment, revision, template, gpuIndices } = replica;
    const source = template?.source;
    const artifact = source?.case === "image" ? source.value : replica.manifestDigest;
    this.cluster.reserve(nodeId, replicaId, template?.resources, {
      gpuIndices,
      spreadKey: replicaSpreadKey(deployment, revision),
      workload: deployment,
      artifacts: artifact === "" ? [] : [artifact],
    });
    this.#replicas.set(nodeId, (this.#replicas.get(nodeId) ?? new Set()).add(replicaId));
  }

  #release(nodeId: string, key: string): void {
    this.cluster.release(key);
    const onNode = this.#replicas.get(nodeId);
    onNode?.delete(key);
    if (onNode?.size === 0) this.#replicas.delete(nodeId);
  }
}

/** What the replicas of one revision have in common. */
export function replicaSpreadKey(deployment: string, revision: number): string {
  return `${deployment}-${revision}`;
}

/** Tells whether a node can take the same as before once it is ready and idle. */
function isSameKind(a: Node, b: Node): boolean {
  const kind = ({ labels, taints, runtimes, capacity, agentVersion }: Node): Node =>
    create(NodeSchema, { labels, taints, runtimes, agentVersion, ...(capacity === undefined ? {} : { capacity }) });
  return equals(NodeSchema, kind(a), kind(b));
}
