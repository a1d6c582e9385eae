import { equals } from "@bufbuild/protobuf";
import { CapacitySchema, type Node, type ResourceRequest } from "@kedge/proto";
import type { CompiledDemand } from "./compiled-demand.ts";
import type { DemandClass } from "./demand-class.ts";
import { DemandClasses } from "./demand-classes.ts";
import type { Held, NodeEntry } from "./node-entry.ts";
import { NodeTable } from "./node-table.ts";
import { type SpreadLimits, spreadLimits, spreadValues } from "./spread.ts";

/** What a node can start without fetching it first. */
export interface NodeCache {
  readonly images?: readonly string[];
  readonly models?: readonly string[];
}

/** What `reserve` may be told besides the request. */
export interface ReserveOptions {
  /** Devices chosen by `place`; absent: the first that fit. */
  readonly gpuIndices?: readonly number[] | undefined;
  /** See `Demand`. */
  readonly spreadKey?: string | undefined;
  readonly workload?: string | undefined;
  /** Names of what it fetches; other demands for the same prefer the node. */
  readonly artifacts?: readonly string[] | undefined;
  /** The room is held for this job, which waits; see NodeRejection.REASON_HELD. */
  readonly heldFor?: string | undefined;
}

/** A claim on a node. */
export interface Reservation {
  readonly key: string;
  readonly nodeId: string;
  readonly resources: ResourceRequest | undefined;
  readonly spreadKey: string | undefined;
  readonly workload: string | undefined;
  readonly heldFor: string | undefined;
  /** Ascending; empty when no GPU is claimed, or while the node is not known. */
  readonly gpuIndices: readonly number[];
}

/**
 * The nodes and what is reserved on them. One long-lived object, changed as the world changes; `place` and `explain`
 * only read it. Reservations are facts: they are kept for nodes that are not known yet or not any more, and may exceed
 * a node that shrank.
 */
export class Cluster {
  readonly #nodes = new NodeTable();
  readonly #classes = new DemandClasses(this.#nodes);
  readonly #held = new Map<string, Held>();
  readonly #byNode = new Map<string, Map<string, Held>>();
  /** Nodes with copies, by spread key. */
  readonly #copies = new Map<string, Map<string, number>>();
  /** Grows when a node comes, goes, or becomes another in more than what is reserved on it. */
  #topology = 0;
  readonly #spreadValues = new Map<
    string,
    { readonly topology: number; readonly values: ReadonlySet<string | undefined> }
  >();

  /** Known nodes, in no order that matters. Internal to the package. */
  entries(): Iterable<NodeEntry> {
    return this.#nodes.values();
  }

  /** Internal to the package. */
  entry(nodeId: string): NodeEntry | undefined {
    return this.#nodes.get(nodeId);
  }

  /** A node as it was last told. */
  node(nodeId: string): Node | undefined {
    return this.#nodes.get(nodeId)?.node;
  }

  get size(): number {
    return this.#nodes.size;
  }

  /**
   * Adds a node or takes over its newest state; what is reserved on it stays. `cache` absent: as before. Cheap when
   * nothing that counts has changed.
   */
  upsertNode(node: Node, cache?: NodeCache): void {
    const known = this.#nodes.get(node.id);
    const entry = known ?? this.#nodes.add(node);
    const isCached = cache === undefined || takeCache(entry, cache);
    if (known !== undefined && isCached && isSameNode(known.node, node)) {
      known.node = node;
      return;
    }
    entry.reset(node, this.#byNode.get(node.id)?.values() ?? []);
    this.#topology++;
    this.#nodes.noteChange(entry);
  }

  /** Forgets a node; its reservations count again if it comes back. Does nothing when it is unknown. */
  removeNode(nodeId: string): void {
    const entry = this.#nodes.get(nodeId);
    if (entry === undefined) return;
    this.#nodes.remove(entry);
    this.#topology++;
  }

  /**
   * Claims resources under a key, whether or not there is room; ask `place` first. The same key again replaces the
   * claim, so it may be called any number of times.
   */
  reserve(
    nodeId: string,
    key: string,
    resources: ResourceRequest | undefined,
    options: ReserveOptions = {},
  ): Reservation {
    this.release(key);
    const { gpuIndices = [], artifacts = [], spreadKey, workload, heldFor } = options;
    const held: Held = {
      key,
      nodeId,
      resources,
      spreadKey,
      workload,
      artifacts,
      heldFor,
      wishes: gpuIndices,
      claims: [],
    };
    this.#held.set(key, held);
    const onNode = this.#byNode.get(nodeId) ?? new Map<string, Held>();
    this.#byNode.set(nodeId, onNode.set(key, held));
    this.#countCopy(held, 1);
    const entry = this.#nodes.get(nodeId);
    entry?.add(held);
    if (entry !== undefined) this.#nodes.noteChange(entry);
    return reservationOf(held);
  }

  /** Gives a claim back. False when there is none under the key. */
  release(key: string): boolean {
    const held = this.#held.get(key);
    if (held === undefined) return false;
    this.#held.delete(key);
    const onNode = this.#byNode.get(held.nodeId);
    onNode?.delete(key);
    if (onNode?.size === 0) this.#byNode.delete(held.nodeId);
    this.#countCopy(held, -1);
    const entry = this.#nodes.get(held.nodeId);
    entry?.remove(held);
    if (entry !== undefined) this.#nodes.noteChange(entry);
    return true;
  }

  /** The claim under a key. */
  reservation(key: string): Reservation | undefined {
    const held = this.#held.get(key);
    return held && reservationOf(held);
  }

  /** All claims on a node. */
  reservationsOn(nodeId: string): readonly Reservation[] {
    return [...(this.#byNode.get(nodeId)?.values() ?? [])].map(reservationOf);
  }

  /** The index for demands like this one. Internal to the package. */
  classOf(compiled: CompiledDemand): DemandClass {
    return this.#classes.of(compiled);
  }

  /** How the demand's copies are spread; undefined when it does not ask for it. Internal to the package. */
  spreadOf(compiled: CompiledDemand): SpreadLimits | undefined {
    const { placement, spreadKey } = compiled.demand;
    if (placement?.spread === undefined || spreadKey === undefined) return undefined;
    return spreadLimits(compiled, this.#valuesFor(compiled, spreadKey), this.#copiesOf(spreadKey));
  }

  #valuesFor(compiled: CompiledDemand, spreadKey: string): ReadonlySet<string | undefined> {
    const key = `${spreadKey} ${compiled.demand.placement?.spread?.label ?? ""}`;
    const known = this.#spreadValues.get(key);
    if (known?.topology === this.#topology) return known.values;
    const values = spreadValues(this.#nodes.values(), compiled);
    if (this.#spreadValues.size > MAX_SPREADS) this.#spreadValues.clear();
    this.#spreadValues.set(key, { topology: this.#topology, values });
    return values;
  }

  *#copiesOf(spreadKey: string): Iterable<readonly [NodeEntry, number]> {
    for (const [nodeId, count] of this.#copies.get(spreadKey) ?? []) {
      const entry = this.#nodes.get(nodeId);
      if (entry !== undefined) yield [entry, count];
    }
  }

  #countCopy({ spreadKey, nodeId }: Held, by: 1 | -1): void {
    if (spreadKey === undefined) return;
    const byNode = this.#copies.get(spreadKey) ?? new Map<string, number>();
    const count = (byNode.get(nodeId) ?? 0) + by;
    if (count > 0) byNode.set(nodeId, count);
    else byNode.delete(nodeId);
    if (byNode.size > 0) this.#copies.set(spreadKey, byNode);
    else this.#copies.delete(spreadKey);
  }
}

/** Spread keys whose label values are remembered; forgotten all at once. */
const MAX_SPREADS = 1024;

/** A cluster of these nodes with nothing reserved. */
export function createCluster(nodes: Iterable<Node> = []): Cluster {
  const cluster = new Cluster();
  for (const node of nodes) cluster.upsertNode(node);
  return cluster;
}

function reservationOf(held: Held): Reservation {
  const { key, nodeId, resources, spreadKey, workload, heldFor, claims } = held;
  return { key, nodeId, resources, spreadKey, workload, heldFor, gpuIndices: claims.map((claim) => claim.index) };
}

/** Takes over what is cached; true when that was known. */
function takeCache(entry: NodeEntry, { images = [], models = [] }: NodeCache): boolean {
  const names = [...images, ...models];
  if (names.length === entry.cached.size && names.every((name) => entry.cached.has(name))) return true;
  entry.cached = new Set(names);
  return false;
}

/** Tells whether two states of a node are the same for all that placing looks at. */
function isSameNode(a: Node, b: Node): boolean {
  return (
    a.state === b.state &&
    a.cordoned === b.cordoned &&
    a.draining === b.draining &&
    a.quarantine?.state === b.quarantine?.state &&
    a.quarantine?.reason === b.quarantine?.reason &&
    isSameList(a.taints, b.taints) &&
    isSameList(a.runtimes, b.runtimes) &&
    isSameRecord(a.labels, b.labels) &&
    isSameCapacity(a, b)
  );
}

function isSameCapacity({ capacity: a }: Node, { capacity: b }: Node): boolean {
  return a === b || (a !== undefined && b !== undefined && equals(CapacitySchema, a, b));
}

const isSameList = <T>(a: readonly T[], b: readonly T[]): boolean =>
  a.length === b.length && a.every((item, i) => item === b[i]);

function isSameRecord(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key]);
}
