import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Node, QuarantineSchema, QuarantineState } from "@kedge/proto";

/** Who sets nodes aside by itself, as documents name it. */
export const CONTROLLER = "controller";
/** Longer reasons are cut. */
const MAX_REASON = 500;

/** A quarantine to begin. */
export interface QuarantineOrder {
  readonly reason: string;
  readonly by: string;
  readonly nowMs: number;
  /** Time until probation; absent: until somebody releases the node. */
  readonly durationMs?: number | undefined;
  readonly strikes: number;
  readonly endTasks: boolean;
}

/** Sets a node aside, in place; one that is already gets the new terms. */
export function setAside(node: Node, order: QuarantineOrder): void {
  const { reason, by, nowMs, durationMs, strikes, endTasks } = order;
  node.quarantine = create(QuarantineSchema, {
    state: QuarantineState.ACTIVE,
    since: timestampFromMs(nowMs),
    reason: reason.slice(0, MAX_REASON),
    by,
    strikes,
    endTasks,
    ...(durationMs === undefined ? {} : { until: timestampFromMs(nowMs + durationMs) }),
  });
}

/** Lets a node show for a time that it is well again, in place: from now on it is judged anew. */
export function putOnProbation(node: Node, nowMs: number, durationMs: number): void {
  if (node.quarantine === undefined) return;
  node.quarantine.state = QuarantineState.PROBATION;
  node.quarantine.since = timestampFromMs(nowMs);
  node.quarantine.until = timestampFromMs(nowMs + durationMs);
  node.quarantine.endTasks = false;
  node.judgedSince = timestampFromMs(nowMs);
}

/** Ends quarantine and probation, in place; what the node did before is forgiven. */
export function release(node: Node, nowMs: number): void {
  delete node.quarantine;
  node.judgedSince = timestampFromMs(nowMs);
}

/** Tells whether a node is set aside now. */
export function isQuarantined(node: Node | undefined): boolean {
  return node?.quarantine?.state === QuarantineState.ACTIVE;
}
