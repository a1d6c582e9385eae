import { NodeState, type ResourceRequest } from "@kedge/proto";
import type { Cluster } from "./cluster.ts";
import type { NodeEntry } from "./node-entry.ts";
import { freeOf, type Room, type Shape, strandedOf, typicalShapes } from "./rebalance-shapes.ts";
import { isSetAside } from "./set-aside-nodes.ts";

/** How much of a cluster's room is in pieces too small. Only nodes that take work count: ready and not set aside. */
export interface Fragmentation {
  /** Share of the free GPU capacity (CPU on nodes without GPU) that a typical demand cannot use, 0 to 1. */
  readonly fragmentation: number;
  /** Nodes with nothing reserved on them. */
  readonly emptyNodes: number;
  /** GPU devices with nothing claimed of them. */
  readonly freeDevices: number;
}

/** One node's part. */
interface Part {
  readonly pool: Pool;
  readonly free: number;
  readonly stranded: number;
  readonly freeDevices: number;
  readonly isEmpty: boolean;
}

/** Nodes of one kind, with GPU or without. Amounts are in thousandths of a device or of a core. */
interface Pool {
  nodes: number;
  capacity: number;
  devices: number;
  free: number;
  stranded: number;
}

/**
 * The measure of a cluster, kept while reservations move. Over the nodes n that take work and the typical demands m with
 * their frequencies p:
 *
 *     fragmentation = sum over n, m of p(m) * unusable(n, m)  /  sum over n of free(n)
 *
 * `unusable` is `strandedOf`. What nodes have free is counted in GPU where they have one, else in CPU; to add the two up,
 * each is divided by what an average node of its kind has in total.
 */
export class FragmentationTally {
  readonly #shapes: readonly Shape[];
  readonly #gpu: Pool = emptyPool();
  readonly #cpu: Pool = emptyPool();
  readonly #parts = new Map<string, Part>();
  #emptyNodes = 0;
  #freeDevices = 0;

  constructor(entries: Iterable<NodeEntry>, shapes: readonly Shape[]) {
    this.#shapes = shapes;
    for (const entry of entries) {
      if (!takesWork(entry)) continue;
      const pool = entry.devices.length > 0 ? this.#gpu : this.#cpu;
      pool.nodes++;
      pool.devices += entry.devices.length;
      pool.capacity += freeOf({ free: entry.total, devices: entry.devices.map(idle) });
      this.#add(entry, pool);
    }
  }

  get value(): Fragmentation {
    const stranded = this.#sum((pool) => pool.stranded);
    const free = this.#sum((pool) => pool.free);
    // Sums of many roundings may fall a little below 0.
    const fragmentation = free <= 0 ? 0 : Math.max(0, stranded / free);
    return { fragmentation, emptyNodes: this.#emptyNodes, freeDevices: this.#freeDevices };
  }

  /** Whether a node counts. */
  counts(nodeId: string): boolean {
    return this.#parts.has(nodeId);
  }

  /** Free capacity of a node that counts, in its unit. */
  freeOn(nodeId: string): number {
    return this.#parts.get(nodeId)?.free ?? 0;
  }

  /** Counts a node anew after its reservations changed. */
  recount(entry: NodeEntry): void {
    const part = this.#parts.get(entry.id);
    if (part === undefined) return;
    part.pool.free -= part.free;
    part.pool.stranded -= part.stranded;
    this.#emptyNodes -= Number(part.isEmpty);
    this.#freeDevices -= part.freeDevices;
    this.#add(entry, part.pool);
  }

  /** By how much `score` falls, all else being equal, when a node's room becomes this; whether it is empty is left out. */
  dropFor(entry: NodeEntry, to: Room): number {
    const part = this.#parts.get(entry.id);
    if (part === undefined) return 0;
    const fewer = part.stranded - strandedOf(to, this.#shapes);
    const devices = to.devices.filter(isUnclaimed).length - part.freeDevices;
    return this.#scaled(part.pool, fewer) + share(devices, this.#gpu.devices);
  }

  /** What room is as a share of all free capacity: thousandths of devices, and of cores on nodes without GPU. */
  shareOf({ gpuMilli = 0, cpuMilli = 0 }: { readonly gpuMilli?: number; readonly cpuMilli?: number }): number {
    return this.#scaled(this.#gpu, gpuMilli) + this.#scaled(this.#cpu, cpuMilli);
  }

  /** One number to compare plans by, lower is better; each of the three goals as a share. */
  score({ fragmentation, emptyNodes, freeDevices }: Fragmentation): number {
    return fragmentation - share(emptyNodes, this.#parts.size) - share(freeDevices, this.#gpu.devices);
  }

  /** What one more empty node is worth. */
  get emptyNodeShare(): number {
    return share(1, this.#parts.size);
  }

  #add(entry: NodeEntry, pool: Pool): void {
    const room = roomOf(entry);
    const [free, stranded] = [freeOf(room), strandedOf(room, this.#shapes)];
    const freeDevices = entry.devices.filter(isUnclaimed).length;
    const isEmpty = entry.reservations === 0;
    this.#parts.set(entry.id, { pool, free, stranded, freeDevices, isEmpty });
    pool.free += free;
    pool.stranded += stranded;
    this.#emptyNodes += Number(isEmpty);
    this.#freeDevices += freeDevices;
  }

  #sum(amount: (pool: Pool) => number): number {
    return perNode(this.#gpu, amount(this.#gpu)) + perNode(this.#cpu, amount(this.#cpu));
  }

  #scaled(pool: Pool, amount: number): number {
    return share(
      perNode(pool, amount),
      this.#sum(({ free }) => free),
    );
  }
}

/** How fragmented a cluster is; `waiting` are demands that are not placed and count as typical too. */
export function measureFragmentation(
  cluster: Cluster,
  waiting: Iterable<ResourceRequest | undefined> = [],
): Fragmentation {
  const requests = [...reservedRequests(cluster), ...waiting];
  return new FragmentationTally(cluster.entries(), typicalShapes(requests)).value;
}

/** The requests of everything that is reserved on known nodes. */
export function reservedRequests(cluster: Cluster): (ResourceRequest | undefined)[] {
  return [...cluster.entries()].flatMap(({ node }) =>
    cluster.reservationsOn(node.id).map(({ resources }) => resources),
  );
}

/** What a node has free. */
export function roomOf(entry: NodeEntry): Room {
  const free: Record<string, number> = {};
  for (const dimension of Object.keys(entry.total)) free[dimension] = entry.free(dimension);
  return { free, devices: entry.devices };
}

function takesWork({ node }: NodeEntry): boolean {
  return node.state === NodeState.READY && !isSetAside(node) && node.capacity !== undefined;
}

const emptyPool = (): Pool => ({ nodes: 0, capacity: 0, devices: 0, free: 0, stranded: 0 });

const idle = ({ device }: Room["devices"][number]) => ({ device, usedMilli: 0, usedMemoryMib: 0 });

const isUnclaimed = (state: Room["devices"][number]): boolean => state.usedMilli === 0 && state.usedMemoryMib === 0;

const share = (part: number, whole: number): number => (whole <= 0 ? 0 : part / whole);

const perNode = (pool: Pool, amount: number): number => share(amount * pool.nodes, pool.capacity);
