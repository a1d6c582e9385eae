import type { MessageInitShape } from "@bufbuild/protobuf";
import type { IncidentKind, IncidentSeverity, IncidentSubjectSchema } from "@kedge/proto";

/** Something that is wrong, as whoever found it tells `Incidents.observe`. */
export interface Finding {
  /**
   * What alike findings share, `<what>/<of what>/...`: one incident of a key is open at a time. Names and digits, no
   * more than 200 characters.
   */
  readonly key: string;
  readonly kind: IncidentKind;
  readonly severity: IncidentSeverity;
  readonly subject: MessageInitShape<typeof IncidentSubjectSchema>;
  /** One sentence, without figures. */
  readonly summary: string;
  /** What was seen, with figures. */
  readonly reason: string;
  /** When it began, by estimate. What began before the incident of the key was closed is that incident's still. */
  readonly beganAtMs: number;
  /** Counts as a repetition when alike is open; else it is merely still so. */
  readonly isAlarm?: boolean;
  /** The metric in question: when is it normal again. */
  readonly gauge?: Gauge;
  /** What Kedge did about it. */
  readonly actions?: readonly FindingAction[];
}

/** What Kedge did about an incident. */
export interface FindingAction {
  readonly atMs: number;
  readonly what: string;
}

/** What is usual of a metric, and the value on whose usual side it is normal again. */
export interface Gauge {
  readonly metric: string;
  readonly usual: number;
  readonly limit: number;
}

/** Back to within this share of the way from what was usual counts as normal. */
const NORMAL_SHARE = 1 / 3;

/** The gauge of a metric that went from usual to a value. */
export function gaugeOf(metric: string, usual: number, value: number): Gauge {
  return { metric, usual, limit: usual + (value - usual) * NORMAL_SHARE };
}
