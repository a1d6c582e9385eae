import { assertJudgeable } from "@kedge/analysis";
import { assertNoProblems, KedgeError, strategyProblems } from "@kedge/domain";
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
  assertMetricsPath(spec.template?.metricsPath ?? "");
}

/** Nodes send it as it is. */
function assertMetricsPath(path: string): void {
  if (path === "" || /^\/[!-~]{0,255}$/.test(path.replaceAll("#", " "))) return;
  throw new KedgeError(
    "INVALID_FIELD",
    "template.metrics_path: expected a path that begins with /, at most 256 characters",
    {
      field: "template.metrics_path",
    },
  );
}
