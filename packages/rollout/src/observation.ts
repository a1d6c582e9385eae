import type { RouteSplit, Verdict } from "@kedge/proto";

/** Replicas of one revision as the controller sees them now. */
export interface ReplicaCounts {
  /** Replicas at full scale: what carries all of the deployment's traffic. */
  readonly desired: number;
  readonly ready: number;
  /** Replicas that failed for good: the agent gave up, or restarts them again and again. */
  readonly failed: number;
  /** What one of the failed ones said. */
  readonly message?: string;
}

/** Replica counts by revision number; a revision without an entry has no replicas. */
export type ReplicaView = ReadonlyMap<number, ReplicaCounts>;

/** Requests and errors since the rollout began. */
export interface ArmTotals {
  readonly requests: bigint;
  readonly errors: bigint;
}

/** The world as one step of a rollout sees it. Everything is a level, nothing an event: seeing it twice changes nothing more. */
export interface RolloutObservation {
  readonly replicas: ReplicaView;
  /**
   * Splits that every live serving node applies, i.e. those of the newest route document once each of them has
   * acknowledged its generation or a later one. Absent while they differ. No serving node: the document's splits.
   */
  readonly routeInForce?: readonly RouteSplit[];
  /**
   * Running totals, not differences: the rollout's own `total_*` plus what windows brought since it was loaded.
   * Totals lower than the rollout's are stale and ignored.
   */
  readonly totals?: { readonly canary: ArmTotals; readonly baseline: ArmTotals };
  /** The judge's newest verdict on this rollout. */
  readonly verdict?: Verdict;
  /** The judge's state that belongs to `totals`; kept in the rollout. */
  readonly judgeState?: Uint8Array;
  /** Number of a newer revision that waits for this rollout to end. */
  readonly supersededBy?: number;
}
