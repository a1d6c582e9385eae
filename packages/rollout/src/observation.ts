import type { LocalDecision, Route, RouteSplit, Verdict } from "@kedge/proto";

/** Replicas of one revision as the controller sees them now. */
export interface ReplicaCounts {
  /** Replicas at full scale: what carries all of the deployment's traffic, whatever a rolling rollout wants just now. */
  readonly desired: number;
  readonly ready: number;
  /** Replicas that failed for good: the agent gave up, or restarts them again and again. */
  readonly failed: number;
  /** What one of the failed ones said. */
  readonly message?: string;
}

/** Replica counts by revision number; a revision without an entry has no replicas. */
export type ReplicaView = ReadonlyMap<number, ReplicaCounts>;

/** The nodes of one wave of a fleet. */
export interface WaveView {
  readonly nodes: number;
  /** Ids of those where a replica of the new revision failed for good. */
  readonly failedNodes: readonly string[];
  /** Replicas on these nodes alone, at full scale. */
  readonly replicas: ReplicaView;
}

/** Requests and errors since the rollout began. */
export interface ArmTotals {
  readonly requests: bigint;
  readonly errors: bigint;
}

/** What a route does with requests. */
export type RouteTraffic = Pick<Route, "splits" | "matches" | "sticky" | "mirrors" | "previewRevision" | "waves">;

/** The world as one step of a rollout sees it. Everything is a level, nothing an event: seeing it twice changes nothing more. */
export interface RolloutObservation {
  readonly replicas: ReplicaView;
  /** One a wave, in the strategy's order; for strategies with waves only. */
  readonly waves?: readonly WaveView[];
  /**
   * What every live serving node applies, i.e. the newest route document once each of them has acknowledged its
   * generation or a later one; its splits alone stand for a route with nothing else. Absent while nodes differ. No
   * serving node: the document.
   */
  readonly routeInForce?: readonly RouteSplit[] | Partial<RouteTraffic>;
  /**
   * Running totals, not differences: the rollout's own `total_*` plus what windows brought since it was loaded.
   * Totals lower than the rollout's are stale and ignored.
   */
  readonly totals?: { readonly canary: ArmTotals; readonly baseline: ArmTotals };
  /** Mirrored answers compared, running totals as well. */
  readonly comparisons?: { readonly compared: bigint; readonly differing: bigint };
  /** The judge's newest verdict on this rollout. */
  readonly verdict?: Verdict;
  /** The judge's state that belongs to `totals`; kept in the rollout. */
  readonly judgeState?: Uint8Array;
  /** Rollout that totals, comparisons, verdict, judge state and missing metrics belong to; those of another are ignored. */
  readonly rolloutId?: string;
  /** Why the judge sees nothing though there is traffic, for people. Absent while it sees, or has no traffic to see. */
  readonly metricsMissing?: string;
  /** What nodes decided while they were cut off, as they report it. */
  readonly localDecisions?: readonly LocalDecision[];
  /** Number of another revision that waits for this rollout to end. */
  readonly supersededBy?: number;
}

/** What shares are computed from. */
export type ReplicaWorld = Pick<RolloutObservation, "replicas" | "waves">;

/** The same world without what was measured of a rollout: evidence on another one says nothing. */
export function withoutEvidence(observation: RolloutObservation): RolloutObservation {
  const { totals: _, comparisons: _c, verdict: _v, judgeState: _j, metricsMissing: _m, ...rest } = observation;
  return rest;
}
