import { buildStep } from "./build-step.ts";
import { checkoutStep } from "./checkout/checkout-step.ts";
import { evaluateStep, quantizeStep } from "./evaluate-step.ts";
import { gateStep } from "./gate-step.ts";
import { modelStep } from "./model-step.ts";
import { runStep } from "./run-step.ts";
import type { StepContext, StepResult } from "./step-context.ts";
import { StepFailure } from "./step-failure.ts";
import { readMetricsFile, readOutputsFile } from "./step-files.ts";
import { tagModelStep } from "./tag-model-step.ts";

/** What a step that succeeded adds to its job. */
export interface PerformedStep {
  readonly outputs: Readonly<Record<string, string>>;
  readonly metrics: Readonly<Record<string, number>>;
}

/**
 * Carries out one step and reads the files it reports with.
 *
 * @throws StepFailure, or what the context's signal aborted with.
 */
export async function performStep(context: StepContext): Promise<PerformedStep> {
  const { step, workspace } = context;
  const { outputs, metrics } = await act(context);
  const told = step.metricsFile === "" ? {} : await readMetricsFile(workspace, step.metricsFile);
  const written = step.outputsFile === "" ? {} : await readOutputsFile(workspace, step.outputsFile);
  return { outputs: { ...outputs, ...written }, metrics: { ...metrics, ...told } };
}

function act(context: StepContext): Promise<StepResult> {
  const { action } = context.step;
  switch (action.case) {
    case "run":
      return runStep(context, action.value);
    case "checkout":
      return checkoutStep(context, action.value);
    case "build":
      return buildStep(context, action.value);
    case "model":
      return modelStep(context, action.value);
    case "tagModel":
      return tagModelStep(context, action.value);
    case "evaluate":
      return evaluateStep(context, action.value);
    case "quantize":
      return quantizeStep(context, action.value);
    case "gate":
      return gateStep(context, action.value);
    default:
      throw new StepFailure("INVALID", `the step has no action this agent knows: ${action.case}`);
  }
}
