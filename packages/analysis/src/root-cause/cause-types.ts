import type { RankedMetric } from "./rank-metrics.ts";

/** Components that have something in common: the replicas on a node, of a revision, at a site. */
export interface ComponentGroup {
  readonly name: string;
  /** "node", "revision", …; for people. */
  readonly kind: string;
  readonly members: readonly string[];
}

/** Something that somebody or something did to a component or group. */
export interface ComponentChange {
  /** Name of a component or group. */
  readonly target: string;
  readonly epochSeconds: number;
  /** For people: "deployed revision 7". */
  readonly what: string;
}

/** Everything that is known of an incident. */
export interface CauseQuery {
  /** From `rankMetrics`. */
  readonly metrics: readonly RankedMetric[];
  /** Who calls or otherwise depends on whom. Cycles are allowed. */
  readonly calls: readonly (readonly [caller: string, callee: string])[];
  readonly groups?: readonly ComponentGroup[];
  readonly changes?: readonly ComponentChange[];
  /** When the incident began, by the first evidence of it. */
  readonly startedAtSeconds: number;
}

/** A component or group that may be the cause. */
export interface Suspect {
  readonly name: string;
  /** "component", or the kind of the group. */
  readonly kind: string;
  /** Relative weight, 0 and up; for comparing suspects of one incident only. */
  readonly weight: number;
  /** Its metrics, best first; of a group, those of its members. */
  readonly metrics: readonly RankedMetric[];
  /** Why it ranks where it does, one sentence each, strongest first. */
  readonly reasons: readonly string[];
}
