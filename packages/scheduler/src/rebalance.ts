import type { ResourceRequest } from "@kedge/proto";
import type { Cluster } from "./cluster.ts";
import { type MovableReplica, RebalanceBoard } from "./rebalance-board.ts";
import type { Fragmentation } from "./rebalance-measure.ts";
import { reasonsFor } from "./rebalance-reason.ts";
import { RebalanceSearch } from "./rebalance-search.ts";

/** How far a rebalance may go. */
export interface RebalanceOptions {
  /** Most replicas to move. */
  readonly maxMoves: number;
  /** Demands that wait for room; they are typical too. */
  readonly waiting?: Iterable<ResourceRequest | undefined>;
}

/** One replica to move. */
export interface ReplicaMove {
  readonly key: string;
  readonly fromNodeId: string;
  readonly toNodeId: string;
  /** The devices it gets there, ascending. */
  readonly gpuIndices: readonly number[];
  /** From 1. Moves with the same number pay off together. */
  readonly step: number;
  /** What it is good for, readable. */
  readonly reason: string;
}

/** Moves in order, and what they come to. */
export interface RebalancePlan {
  readonly moves: readonly ReplicaMove[];
  readonly before: Fragmentation;
  readonly after: Fragmentation;
}

/**
 * Moves that bring free room together: at most `maxMoves` replicas, each at most once, so that typical demands fit where
 * they did not, devices become free and nodes empty. Reads the cluster only. Replicas that are not reserved where they are
 * said to be, or whose node takes no work (a drain moves those), stay.
 *
 * Greedy: at each step the bundle (see `bundlesOf`) that gains most per move: one replica, or several that pay off only
 * together, e.g. the two that keep a node from being empty. After each step fragmentation is not higher, and neither empty
 * nodes nor free devices are fewer, than before it, and at least one of the three is better.
 *
 * The moves can be made in order, each new replica started before the old one ends; in fact all at the same time, as far
 * as room goes: no move goes to a node that an earlier one left. Nothing goes to an empty node, against its placement, or
 * where copies would be more uneven than before.
 *
 * Bounded: bundles are tried in the order of the most they can gain, until no other can gain more, 64 of them, on from
 * there if none helped, and 8,192 for the whole plan; one that gained nothing is tried again when its node has changed or
 * nothing else is left. A replica's target is the best of the 8 fullest nodes that can take it, among 256.
 */
export function planRebalance(
  cluster: Cluster,
  replicas: Iterable<MovableReplica>,
  options: RebalanceOptions,
): RebalancePlan {
  const board = new RebalanceBoard(cluster, replicas, options.waiting ?? []);
  const before = board.tally.value;
  const search = new RebalanceSearch(board, options.maxMoves);
  const moves: ReplicaMove[] = [];
  for (let step = 1; moves.length < options.maxMoves; step++) {
    const best = search.next(options.maxMoves - moves.length);
    if (best === undefined) break;
    const reasons = reasonsFor(board, best.steps, best.freesDevices);
    for (const [i, { piece, to, gpuIndices }] of best.steps.entries()) {
      const { key, nodeId: fromNodeId } = piece.replica;
      moves.push({ key, fromNodeId, toNodeId: to.id, gpuIndices, step, reason: reasons[i] ?? "" });
    }
    search.commit(best);
  }
  return { moves, before, after: board.tally.value };
}
