import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { NodeLevel } from "@kedge/analysis";
import { type Node, type QuarantinePolicy, QuarantineState } from "@kedge/proto";

const DEFAULT_FIRST_SECONDS = 600;
const LONGEST_MS = 24 * 3_600_000;

/** What becomes of a node's quarantine. */
export type QuarantineStep =
  | { readonly kind: "stay" }
  | { readonly kind: "set-aside"; readonly durationMs: number; readonly strikes: number; readonly endTasks: boolean }
  | { readonly kind: "probation"; readonly durationMs: number }
  | { readonly kind: "release" };

/** What a decision rests on. */
export interface QuarantineQuestion {
  readonly node: Node;
  /** On what happened since the node is judged anew. */
  readonly level: NodeLevel;
  readonly policy: QuarantinePolicy | undefined;
  readonly nowMs: number;
}

const STAY = { kind: "stay" } as const;

/**
 * The next step of a node's quarantine, before it is asked whether the fleet can do without the node. A sick node is set
 * aside; after a time it takes a little work; at the first sign it is set aside again for twice as long, else released.
 */
export function nextQuarantine({ node, level, policy, nowMs }: QuarantineQuestion): QuarantineStep {
  const { quarantine } = node;
  const isOver = quarantine?.until !== undefined && timestampMs(quarantine.until) <= nowMs;
  const strikes = quarantine?.strikes ?? 0;
  switch (quarantine?.state) {
    case QuarantineState.ACTIVE:
      // One whose disk is still full has nothing to show.
      return isOver && level !== "sick" ? { kind: "probation", durationMs: lengthMs(policy, strikes) } : STAY;
    case QuarantineState.PROBATION:
      if (level !== "healthy" && policy?.manualOnly !== true) return setAside(policy, strikes + 1);
      return isOver && level === "healthy" ? { kind: "release" } : STAY;
    default:
      return level === "sick" && policy?.manualOnly !== true ? setAside(policy, 1) : STAY;
  }
}

function setAside(policy: QuarantinePolicy | undefined, strikes: number): QuarantineStep {
  const durationMs = lengthMs(policy, strikes);
  return { kind: "set-aside", durationMs, strikes, endTasks: policy?.endTasks === true };
}

function lengthMs(policy: QuarantinePolicy | undefined, strikes: number): number {
  const firstMs = (policy?.firstSeconds || DEFAULT_FIRST_SECONDS) * 1_000;
  return Math.min(LONGEST_MS, firstMs * 2 ** Math.max(0, strikes - 1));
}
