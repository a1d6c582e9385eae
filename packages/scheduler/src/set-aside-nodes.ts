import { type Node, QuarantineState } from "@kedge/proto";
import type { NodeEntry } from "./node-entry.ts";

/** What a node on probation takes at once: enough to show itself well, not enough to hurt. */
export const PROBATION_WORK = 2;
/** Longer reasons are cut: explanations repeat them for every node. */
const MAX_REASON = 160;

/** Tells whether people or the controller keep everything new off a node, whatever its own state. */
export function isSetAside({ cordoned, draining, quarantine }: Node): boolean {
  return cordoned || draining || quarantine?.state === QuarantineState.ACTIVE;
}

/** Why quarantine keeps work off a node, to follow "is"; undefined when it does not. */
export function quarantineOf({ node, reservations }: NodeEntry): string | undefined {
  const { quarantine } = node;
  if (quarantine === undefined) return undefined;
  const reason = quarantine.reason.slice(0, MAX_REASON);
  if (quarantine.state === QuarantineState.ACTIVE) return `in quarantine: ${reason}`;
  if (reservations < PROBATION_WORK) return undefined;
  return `on probation with as much work as it may have: ${reason}`;
}
