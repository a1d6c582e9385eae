import { create } from "@bufbuild/protobuf";
import { HeldBack_Reason, HeldBackSchema, type PlacementExplanation } from "@kedge/proto";
import { heldBackText } from "../scheduling/held-back.ts";

/** Why replicas are missing, where jobs of lower priority end for them: on these nodes, at least one. */
export function explainMakingRoom(pending: PlacementExplanation, nodeIds: readonly string[]): PlacementExplanation {
  const subject = [...new Set(nodeIds)].sort().join(", ");
  const heldBack = create(HeldBackSchema, { reason: HeldBack_Reason.PREEMPTING, subject });
  return { ...pending, summary: heldBackText(heldBack), heldBack };
}
