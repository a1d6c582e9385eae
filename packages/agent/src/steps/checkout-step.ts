import type { CheckoutStep } from "@kedge/proto";
import { LogStream } from "@kedge/proto";
import { checkout } from "./checkout.ts";
import type { StepContext, StepResult } from "./step-context.ts";
import { StepFailure } from "./step-failure.ts";

/** Puts the run's commit, or another, into the workspace. Outputs: commit. */
export async function checkoutStep(context: StepContext, action: CheckoutStep): Promise<StepResult> {
  const { offer, workspace, log, step } = context;
  const repository = action.repository || offer.source?.repository || "";
  const ownRef = action.repository === "" ? offer.source?.commit || offer.source?.ref || "" : "HEAD";
  const ref = action.ref || ownRef;
  if (repository === "") throw new StepFailure("INVALID", "checkout: the run has no source and the step no repository");
  const written: Promise<void>[] = [];
  const onOutput = (text: string): void => {
    written.push(log.write({ step: step.name, stream: LogStream.STDERR, data: Buffer.from(text) }));
  };
  const signal = AbortSignal.any([context.signal, context.detached]);
  const depth = action.depth === 0 ? 1 : action.depth;
  try {
    const commit = await checkout({ directory: workspace, repository, ref, depth, signal, onOutput });
    await log.note(step.name, `checked out ${commit} of ${repository}`);
    return { outputs: { commit } };
  } finally {
    await Promise.all(written);
  }
}
