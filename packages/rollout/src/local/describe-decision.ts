import { type LocalDecision, LocalDecisionKind } from "@kedge/proto";

const DID: Readonly<Record<LocalDecisionKind, string>> = {
  [LocalDecisionKind.UNSPECIFIED]: "decided nothing",
  [LocalDecisionKind.CONTINUE]: "went on",
  [LocalDecisionKind.PAUSE]: "held the share",
  [LocalDecisionKind.ROLLBACK]: "rolled back",
};

/** What a node decided alone, why, and what became of it, in a line for people. */
export function describeDecision({ nodeId, kind, reason, outcome, cutOffSeconds }: LocalDecision): string {
  const merged = outcome === "" ? "" : `; ${outcome}`;
  return `node ${nodeId} ${DID[kind]} by itself after ${cutOffSeconds} s without the controller: ${reason}${merged}`;
}
