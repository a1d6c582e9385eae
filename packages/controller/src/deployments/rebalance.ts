import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type Deployment,
  type PlannedMove,
  PlannedMoveSchema,
  type RebalanceResponse,
  ReplicaMoveSchema,
} from "@kedge/proto";
import { type MovableReplica, planRebalance, type StillWaiting } from "@kedge/scheduler";
import type { AssignmentWriter } from "../nodes/assignment-writer.ts";
import type { CapacityBook } from "../nodes/capacity-book.ts";
import type { Stores } from "../stores.ts";
import type { DeploymentWriter } from "./apply.ts";
import { obstacleToMoving } from "./moves.ts";
import { replicaDemand } from "./replica-demand.ts";

/** What is rebalanced, and with what. */
export interface RebalancerOptions {
  readonly stores: Stores;
  readonly book: CapacityBook;
  readonly assignments: AssignmentWriter;
  readonly writer: DeploymentWriter;
  /** Jobs that wait for room. */
  readonly queue: () => readonly StillWaiting[];
}

/** The plan, and what it would come to. */
export type Rebalance = Pick<
  RebalanceResponse,
  "moves" | "fragmentationBefore" | "fragmentationAfter" | "emptyNodesBefore" | "emptyNodesAfter"
>;

/** Plans which replicas should go to other nodes, and has their deployments carry that out. */
export class Rebalancer {
  readonly #options: RebalancerOptions;

  constructor(options: RebalancerOptions) {
    this.#options = options;
  }

  /** Plans at most so many moves; nothing changes. */
  plan(maxMoves: number): Rebalance {
    const { book, queue } = this.#options;
    const waiting = queue().map(({ job }) => job.demand.resources);
    const plan = planRebalance(book.cluster, this.#movable(), { maxMoves, waiting });
    return {
      moves: plan.moves.map(({ key, fromNodeId, toNodeId, reason }) => {
        const [deployment = ""] = key.split(".");
        return create(PlannedMoveSchema, { deployment, replicaId: key, fromNodeId, toNodeId, reason });
      }),
      fragmentationBefore: plan.before.fragmentation,
      fragmentationAfter: plan.after.fragmentation,
      emptyNodesBefore: plan.before.emptyNodes,
      emptyNodesAfter: plan.after.emptyNodes,
    };
  }

  /** Stores the moves in their deployments; gives those that are begun. One that cannot be begun any more is left out. */
  async apply(moves: readonly PlannedMove[]): Promise<PlannedMove[]> {
    const begun: PlannedMove[] = [];
    for (const [name, own] of Map.groupBy(moves, ({ deployment }) => deployment)) {
      let stored: readonly PlannedMove[] = [];
      await this.#options.writer.edit(name, (draft, nowMs) => {
        stored = obstacleToMoving(draft) === undefined ? this.#begin(draft, own, nowMs) : [];
        return draft.stableRevision;
      });
      begun.push(...stored);
    }
    return begun;
  }

  #begin(draft: Deployment, moves: readonly PlannedMove[], nowMs: number): PlannedMove[] {
    const { assignments } = this.#options;
    // The replica on the target node is the new one, so there must be no other.
    const taken = new Set([...assignments.replicas(draft.name)].map(({ nodeId }) => nodeId));
    return moves.filter(({ replicaId, fromNodeId, toNodeId }) => {
      if (taken.has(toNodeId) || draft.moves.some((move) => move.replicaId === replicaId)) return false;
      taken.add(toNodeId);
      const revision = draft.stableRevision;
      const startedAt = timestampFromMs(nowMs);
      draft.moves.push(create(ReplicaMoveSchema, { replicaId, revision, fromNodeId, toNodeId, startedAt }));
      return true;
    });
  }

  *#movable(): Iterable<MovableReplica> {
    const { stores, assignments, book } = this.#options;
    for (const [name, { value }] of stores.deployments.entries()) {
      const revision = value.revisions.find(({ number }) => number === value.stableRevision);
      if (value.spec === undefined || revision === undefined || value.moves.length > 0) continue;
      if (obstacleToMoving(value) !== undefined) continue;
      for (const { nodeId, replica } of assignments.replicas(name)) {
        if (replica.revision !== revision.number) continue;
        const demand = replicaDemand(value.spec, revision, replica.replicaId, book);
        yield { key: replica.replicaId, nodeId, demand };
      }
    }
  }
}
