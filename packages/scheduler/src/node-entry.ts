import { capacityAmounts, requestAmounts } from "@kedge/domain";
import type { Node, ResourceRequest } from "@kedge/proto";
import { applyClaims, claimOf, type DeviceClaim, type DeviceState, pickDevices, wantsGpu } from "./gpu.ts";

/** A reservation with what it claims. Internal to the package. */
export interface Held {
  readonly key: string;
  readonly nodeId: string;
  readonly resources: ResourceRequest | undefined;
  readonly spreadKey: string | undefined;
  readonly workload: string | undefined;
  readonly artifacts: readonly string[];
  readonly heldFor: string | undefined;
  /** Devices it should get. */
  readonly wishes: readonly number[];
  claims: readonly DeviceClaim[];
}

/** A node as the scheduler counts it. Internal to the package. */
export class NodeEntry {
  readonly id: string;
  /** Order among equally good nodes: a hash, so that kinds of nodes named alike do not come one after the other. */
  readonly rank: number;
  /** Where the node stands in the arrays of demand classes. */
  slot: number;
  node: Node;
  total: Readonly<Record<string, number>> = {};
  used: Record<string, number> = {};
  devices: readonly DeviceState[] = [];
  cached: ReadonlySet<string> = new Set();
  /** Reservations by spread key, by workload, and by artifact they fetch. */
  readonly copies = new Counter();
  readonly workloads = new Counter();
  readonly fetching = new Counter();
  /** Room held for jobs that wait. */
  readonly holds = new Set<Held>();
  reservations = 0;

  constructor(node: Node, slot: number) {
    this.id = node.id;
    this.rank = hashOf(node.id);
    this.slot = slot;
    this.node = node;
  }

  /** Takes over what the node is and counts everything that is reserved on it anew. */
  reset(node: Node, held: Iterable<Held>): void {
    this.node = node;
    this.total = capacityAmounts(node.capacity);
    this.used = {};
    this.devices = (node.capacity?.gpus ?? []).map((device) => ({ device, usedMilli: 0, usedMemoryMib: 0 }));
    for (const counter of [this.copies, this.workloads, this.fetching]) counter.clear();
    this.holds.clear();
    this.reservations = 0;
    // Devices already given out come first, so that those chosen only now do not collide with them.
    const ordered = [...held].sort((a, b) => Number(b.claims.length > 0) - Number(a.claims.length > 0));
    for (const reservation of ordered) this.add(reservation);
  }

  add(held: Held): void {
    if (held.claims.length === 0) held.claims = this.#chooseClaims(held);
    this.#count(held, 1);
  }

  remove(held: Held): void {
    this.#count(held, -1);
  }

  /** Unclaimed amount of a divisible dimension; negative when more is claimed than there is. */
  free(dimension: string): number {
    return (this.total[dimension] ?? 0) - (this.used[dimension] ?? 0);
  }

  /** What a reservation claims of the divisible dimensions. */
  amountsOf(held: Held): [dimension: string, amount: number][] {
    return Object.entries(requestAmounts(held.resources));
  }

  #count(held: Held, sign: 1 | -1): void {
    for (const [dimension, amount] of this.amountsOf(held)) {
      this.used[dimension] = (this.used[dimension] ?? 0) + sign * amount;
    }
    applyClaims(this.devices, held.claims, sign);
    this.reservations += sign;
    if (held.spreadKey !== undefined) this.copies.add(held.spreadKey, sign);
    if (held.workload !== undefined) this.workloads.add(held.workload, sign);
    for (const artifact of held.artifacts) this.fetching.add(artifact, sign);
    if (held.heldFor === undefined) return;
    if (sign === 1) this.holds.add(held);
    else this.holds.delete(held);
  }

  #chooseClaims(held: Held): readonly DeviceClaim[] {
    const gpu = held.resources?.gpu;
    if (!wantsGpu(gpu)) return [];
    const wished = this.devices.filter((state) => held.wishes.includes(state.device.index));
    if (wished.length > 0) return wished.map((state) => claimOf(state.device, gpu));
    // No room for it, but it is there: count it on the first devices, so that they are not given out again.
    const fallback = () => this.devices.slice(0, Math.max(1, gpu.count)).map((state) => claimOf(state.device, gpu));
    return pickDevices(this.devices, gpu) ?? fallback();
  }
}

/** How often each key was added. */
export class Counter {
  readonly #counts = new Map<string, number>();

  add(key: string, by: number): void {
    const count = this.of(key) + by;
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
  }

  of(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  clear(): void {
    this.#counts.clear();
  }
}

/** FNV-1a with the finalizer of MurmurHash3 (both public domain), 32 bits. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
