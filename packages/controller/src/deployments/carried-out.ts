import { assertJudgeable } from "@kedge/analysis";
import { assertNoProblems, strategyProblems } from "@kedge/domain";
import type { DeploymentSpec } from "@kedge/proto";
import { assertSupported } from "@kedge/rollout";

/**
 * Refuses what makes no sense, and what this controller would carry out only in part: strategies and analyses that it does
 * not know, and combinations that it cannot make so.
 *
 * @throws KedgeError INVALID_FIELD.
 */
export function assertCarriedOut(spec: DeploymentSpec): void {
  assertSupported(spec);
  if (spec.analysis) assertJudgeable(spec.analysis);
  assertNoProblems(strategyProblems(spec));
}
