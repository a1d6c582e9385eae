import { assertJudgeable } from "@kedge/analysis";
import { KedgeError } from "@kedge/domain";
import type { DeploymentSpec } from "@kedge/proto";
import { assertSupported } from "@kedge/rollout";

/**
 * Refuses what this controller would carry out only in part: strategies and analyses that it does not know, and
 * combinations that it cannot make so.
 *
 * @throws KedgeError INVALID_FIELD.
 */
export function assertCarriedOut(spec: DeploymentSpec): void {
  assertSupported(spec);
  if (spec.analysis) assertJudgeable(spec.analysis);
  const kind = spec.strategy?.kind;
  if (kind?.case === "canary" && kind.value.waves.length > 0 && spec.scale.case !== "replicasPerNode") {
    throw new KedgeError("INVALID_FIELD", "waves go from node to node, so they need replicas on every node", {
      field: "strategy",
      hint: "give replicas_per_node in place of replicas",
    });
  }
}
