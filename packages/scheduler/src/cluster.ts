import { capacityAmounts, requestAmounts } from "@kedge/domain";
import type { Node, ResourceRequest } from "@kedge/proto";
import { applyClaims, claimOf, type DeviceClaim, type DeviceState, pickDevices, wantsGpu } from "./gpu.ts";

/** What a node can start without fetching it first. */
export interface NodeCache {
  readonly images?: readonly string[];
  readonly models?: readonly string[];
}

/** What `reserve` may be told besides the request. */
export interface ReserveOptions {
  /** Devices chosen by `place`; absent: the first that fit. */
  readonly gpuIndices?: readonly number[];
  /** See `Demand.spreadKey`. */
  readonly spreadKey?: string | undefined;
}

/** A claim on a node. */
export interface Reservation {
  readonly key: string;
  readonly nodeId: string;
  readonly spreadKey: string | undefined;
  /** Ascending; empty when no GPU is claimed, or while the node is not known. */
  readonly gpuIndices: readonly number[];
}

/** A node as the scheduler counts it. Internal to the package. */
export interface NodeEntry {
  readonly node: Node;
  readonly total: Readonly<Record<string, number>>;
  readonly used: Record<string, number>;
  readonly devices: readonly DeviceState[];
  readonly images: ReadonlySet<string>;
  readonly models: ReadonlySet<string>;
  /** Reservations by spread key. */
  readonly spread: Map<string, number>;
  reservations: number;
}

interface Held extends Reservation {
  readonly request: ResourceRequest | undefined;
  readonly wishes: readonly number[];
  claims: readonly DeviceClaim[];
}

/**
 * The nodes and what is reserved on them. One long-lived object, changed as the world changes; `place` and `explain`
 * only read it. Reservations are facts: they are kept for nodes that are not known yet or not any more, and may exceed
 * a node that shrank.
 */
export class Cluster {
  readonly #entries = new Map<string, NodeEntry>();
  readonly #held = new Map<string, Held>();
  readonly #byNode = new Map<string, Map<string, Held>>();

  /** Known nodes, in no order that matters. */
  entries(): Iterable<NodeEntry> {
    return this.#entries.values();
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Adds a node or takes over its newest state; what is reserved on it stays. `cache` absent: as before. */
  upsertNode(node: Node, cache?: NodeCache): void {
    const known = this.#entries.get(node.id);
    const entry: NodeEntry = {
      node,
      total: capacityAmounts(node.capacity),
      used: {},
      devices: (node.capacity?.gpus ?? []).map((device) => ({ device, usedMilli: 0, usedMemoryMib: 0 })),
      images: cache === undefined ? (known?.images ?? new Set()) : new Set(cache.images),
      models: cache === undefined ? (known?.models ?? new Set()) : new Set(cache.models),
      spread: new Map(),
      reservations: 0,
    };
    this.#entries.set(node.id, entry);
    const held = [...(this.#byNode.get(node.id)?.values() ?? [])];
    // Devices already given out come first, so that those chosen only now do not collide with them.
    held.sort((a, b) => Number(b.claims.length > 0) - Number(a.claims.length > 0));
    for (const reservation of held) account(entry, reservation);
  }

  /** Forgets a node; its reservations count again if it comes back. Does nothing when it is unknown. */
  removeNode(nodeId: string): void {
    this.#entries.delete(nodeId);
  }

  /**
   * Claims resources under a key, whether or not there is room; ask `place` first. The same key again replaces the
   * claim, so it may be called any number of times.
   */
  reserve(
    nodeId: string,
    key: string,
    request: ResourceRequest | undefined,
    options: ReserveOptions = {},
  ): Reservation {
    this.release(key);
    const held: Held = {
      key,
      nodeId,
      request,
      spreadKey: options.spreadKey,
      wishes: options.gpuIndices ?? [],
      claims: [],
      get gpuIndices() {
        return this.claims.map((claim) => claim.index);
      },
    };
    this.#held.set(key, held);
    const onNode = this.#byNode.get(nodeId) ?? new Map<string, Held>();
    this.#byNode.set(nodeId, onNode.set(key, held));
    const entry = this.#entries.get(nodeId);
    if (entry !== undefined) account(entry, held);
    return held;
  }

  /** Gives a claim back. False when there is none under the key. */
  release(key: string): boolean {
    const held = this.#held.get(key);
    if (held === undefined) return false;
    this.#held.delete(key);
    const onNode = this.#byNode.get(held.nodeId);
    onNode?.delete(key);
    if (onNode?.size === 0) this.#byNode.delete(held.nodeId);
    const entry = this.#entries.get(held.nodeId);
    if (entry !== undefined) addToEntry(entry, held, -1);
    return true;
  }

  /** The claim under a key. */
  reservation(key: string): Reservation | undefined {
    return this.#held.get(key);
  }

  /** All claims on a node. */
  reservationsOn(nodeId: string): readonly Reservation[] {
    return [...(this.#byNode.get(nodeId)?.values() ?? [])];
  }
}

/** A cluster of these nodes with nothing reserved. */
export function createCluster(nodes: Iterable<Node> = []): Cluster {
  const cluster = new Cluster();
  for (const node of nodes) cluster.upsertNode(node);
  return cluster;
}

function account(entry: NodeEntry, held: Held): void {
  if (held.claims.length === 0) held.claims = chooseClaims(entry, held);
  addToEntry(entry, held, 1);
}

function addToEntry(entry: NodeEntry, held: Held, sign: 1 | -1): void {
  for (const [dimension, amount] of Object.entries(requestAmounts(held.request))) {
    entry.used[dimension] = (entry.used[dimension] ?? 0) + sign * amount;
  }
  applyClaims(entry.devices, held.claims, sign);
  entry.reservations += sign;
  if (held.spreadKey === undefined) return;
  entry.spread.set(held.spreadKey, (entry.spread.get(held.spreadKey) ?? 0) + sign);
}

function chooseClaims(entry: NodeEntry, held: Held): readonly DeviceClaim[] {
  const gpu = held.request?.gpu;
  if (!wantsGpu(gpu)) return [];
  const wished = entry.devices.filter((state) => held.wishes.includes(state.device.index));
  if (wished.length > 0) return wished.map((state) => claimOf(state.device, gpu));
  // No room for it, but it is there: count it on the first devices, so that they are not given out again.
  const fallback = () => entry.devices.slice(0, Math.max(1, gpu.count)).map((state) => claimOf(state.device, gpu));
  return pickDevices(entry.devices, gpu) ?? fallback();
}
