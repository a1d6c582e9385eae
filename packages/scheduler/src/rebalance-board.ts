import type { ResourceRequest } from "@kedge/proto";
import { Cluster } from "./cluster.ts";
import { type CompiledDemand, compileDemand } from "./compiled-demand.ts";
import type { Demand } from "./demand.ts";
import { claimOf, type DeviceClaim, pickDevices } from "./gpu.ts";
import type { NodeEntry } from "./node-entry.ts";
import { FragmentationTally, reservedRequests } from "./rebalance-measure.ts";
import { type Shape, typicalShapes } from "./rebalance-shapes.ts";

/** A replica that may go to another node: its reservation's key, where it is, and the demand it was placed for. */
export interface MovableReplica {
  readonly key: string;
  readonly nodeId: string;
  readonly demand: Demand;
}

/** A movable replica with what it holds where it is. */
export interface Piece {
  readonly replica: MovableReplica;
  readonly compiled: CompiledDemand;
  readonly claims: readonly DeviceClaim[];
}

/** A piece on its way. */
export interface Step {
  readonly piece: Piece;
  readonly to: NodeEntry;
  readonly gpuIndices: readonly number[];
}

/** A copy of a cluster to try moves on, with its measure kept up to date. */
export class RebalanceBoard {
  readonly cluster: Cluster;
  readonly entries: ReadonlyMap<string, NodeEntry>;
  readonly tally: FragmentationTally;
  readonly shapes: readonly Shape[];
  /** Pieces that have not moved, by node, by key. */
  readonly #pieces = new Map<string, Map<string, Piece>>();
  /** Replicas by node whose placement has conditions on what else runs there; those that moved included. */
  readonly #choosy = new Map<string, Set<Piece>>();

  constructor(cluster: Cluster, replicas: Iterable<MovableReplica>, waiting: Iterable<ResourceRequest | undefined>) {
    this.cluster = copyOf(cluster);
    this.entries = new Map([...this.cluster.entries()].map((entry) => [entry.id, entry]));
    this.shapes = typicalShapes([...reservedRequests(cluster), ...waiting]);
    this.tally = new FragmentationTally(this.cluster.entries(), this.shapes);
    for (const replica of replicas) this.#admit(replica);
  }

  /** What may still leave a node, in order of keys. */
  piecesOn(nodeId: string): readonly Piece[] {
    const pieces = [...(this.#pieces.get(nodeId)?.values() ?? [])];
    return pieces.sort((a, b) => (a.replica.key < b.replica.key ? -1 : 1));
  }

  /** Nodes that something may leave. */
  sources(): string[] {
    return [...this.#pieces.keys()];
  }

  /** The devices a piece would get on a node. */
  devicesFor({ compiled }: Piece, entry: NodeEntry): readonly DeviceClaim[] {
    return compiled.gpu === undefined ? [] : (pickDevices(entry.devices, compiled.gpu) ?? []);
  }

  /** Moves a piece. */
  apply({ piece, to, gpuIndices }: Step): void {
    this.#pieces.get(piece.replica.nodeId)?.delete(piece.replica.key);
    this.#put(piece, to.id, gpuIndices);
  }

  /** Takes a move back. */
  undo({ piece, to }: Step): void {
    const { nodeId, key } = piece.replica;
    this.#pieces.get(nodeId)?.set(key, piece);
    const indices = piece.claims.map((claim) => claim.index);
    this.#put(piece, nodeId, indices);
    this.#recount(to.id);
  }

  /** Whether the replicas on a node still run near and apart from what they must. */
  keepsCompany(nodeId: string): boolean {
    const entry = this.entries.get(nodeId);
    if (entry === undefined) return true;
    return [...(this.#choosy.get(nodeId) ?? [])].every(({ compiled }) =>
      compiled.company.every(({ workload, apart }) => {
        const own = compiled.demand.workload === workload ? 1 : 0;
        return entry.workloads.of(workload) > own !== apart;
      }),
    );
  }

  #admit(replica: MovableReplica): void {
    const { key, nodeId, demand } = replica;
    const held = this.cluster.reservation(key);
    const entry = this.entries.get(nodeId);
    if (held?.nodeId !== nodeId || entry === undefined || !this.tally.counts(nodeId)) return;
    const compiled = compileDemand(demand);
    const { gpu } = compiled;
    const devices = entry.devices.filter(({ device }) => held.gpuIndices.includes(device.index));
    const claims = gpu === undefined ? [] : devices.map(({ device }) => claimOf(device, gpu));
    const piece = { replica, compiled, claims };
    const here = this.#pieces.get(nodeId) ?? new Map<string, Piece>();
    this.#pieces.set(nodeId, here.set(key, piece));
    if (compiled.company.length > 0) this.#choosyOn(nodeId).add(piece);
  }

  #put(piece: Piece, nodeId: string, gpuIndices: readonly number[]): void {
    const { key, demand } = piece.replica;
    const { resources, spreadKey, workload } = demand;
    const from = this.cluster.reservation(key)?.nodeId ?? nodeId;
    this.cluster.reserve(nodeId, key, resources, { gpuIndices, spreadKey, workload });
    if (piece.compiled.company.length > 0) {
      this.#choosyOn(from).delete(piece);
      this.#choosyOn(nodeId).add(piece);
    }
    this.#recount(from);
    this.#recount(nodeId);
  }

  #recount(nodeId: string): void {
    const entry = this.entries.get(nodeId);
    if (entry !== undefined) this.tally.recount(entry);
  }

  #choosyOn(nodeId: string): Set<Piece> {
    const pieces = this.#choosy.get(nodeId) ?? new Set<Piece>();
    this.#choosy.set(nodeId, pieces);
    return pieces;
  }
}

function copyOf(cluster: Cluster): Cluster {
  const copy = new Cluster();
  for (const { node } of cluster.entries()) copy.upsertNode(node);
  for (const { node } of cluster.entries()) {
    for (const held of cluster.reservationsOn(node.id)) copy.reserve(node.id, held.key, held.resources, held);
  }
  return copy;
}
