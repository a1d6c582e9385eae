import type { CanaryStep, Rollout } from "@kedge/proto";

/** A step as the machine follows it. */
export type ResolvedStep = Pick<CanaryStep, "weightPercent" | "holdSeconds" | "minRequests" | "manual">;

const FINAL_STEP: ResolvedStep = { weightPercent: 100, holdSeconds: 0, minRequests: 0, manual: false };

/**
 * The steps a rollout goes through: those of its canary strategy up to the first with weight 100, which is added when
 * missing. All-at-once rollouts and first revisions have the final step alone.
 */
export function rolloutSteps(rollout: Rollout): readonly ResolvedStep[] {
  if (rollout.fromRevision === 0) return [FINAL_STEP];
  const steps: ResolvedStep[] = [];
  for (const step of rollout.canary?.steps ?? []) {
    const weightPercent = Math.min(100, Math.max(1, step.weightPercent));
    steps.push({
      weightPercent,
      holdSeconds: step.holdSeconds,
      minRequests: step.minRequests,
      manual: step.manual,
    });
    if (weightPercent === 100) return steps;
  }
  return [...steps, FINAL_STEP];
}

/** The step a rollout is in. */
export function currentStep(rollout: Rollout): ResolvedStep {
  return rolloutSteps(rollout)[rollout.step] ?? FINAL_STEP;
}

/** Tells whether a step asks for nothing but all the traffic, so that promotion may begin at once. */
export function isPlainFinal(step: ResolvedStep): boolean {
  return step.weightPercent === 100 && step.holdSeconds === 0 && step.minRequests === 0 && !step.manual;
}
