import type { AbTestStrategy, CanaryStrategy, Rollout, ShadowStrategy } from "@kedge/proto";

/**
 * How a step brings traffic to the new revision: a share of the split, by preview header only, requests that match,
 * copies whose answers are dropped, as its replicas take the place of old ones, or as fast as they can carry it.
 */
export type StepTraffic = "split" | "preview" | "match" | "mirror" | "rolling" | "return";

/** A step as the machine follows it, whatever strategy it comes from. */
export interface ResolvedStep {
  readonly traffic: StepTraffic;
  /** Share of the split, on the nodes of its wave. */
  readonly weightPercent: number;
  /** Share that the new revision's replicas must be able to carry before it begins. */
  readonly readyPercent: number;
  readonly holdSeconds: number;
  /** Least requests answered; of a mirror, answers compared. */
  readonly minRequests: number;
  readonly manual: boolean;
  readonly judged: boolean;
  /** A pass of the judge ends its hold. */
  readonly endsOnPass: boolean;
  /** Index of the wave that it works on; those before are done. */
  readonly wave: number;
}

const FINAL: ResolvedStep = {
  traffic: "split",
  weightPercent: 100,
  readyPercent: 100,
  holdSeconds: 0,
  minRequests: 0,
  manual: false,
  judged: true,
  endsOnPass: false,
  wave: 0,
};

const AB_RUN_SECONDS = 7 * 86_400;
const MIN_COMPARED = 100;

/**
 * The steps a rollout goes through, at least one; the last gives the new revision all traffic. First revisions have that
 * one alone, and a return has one that moves the traffic as fast as replicas become ready.
 */
export function rolloutSteps(rollout: Rollout): readonly ResolvedStep[] {
  if (rollout.fromRevision === 0) return [FINAL];
  const kind = rollout.strategy?.kind;
  // A strategy that exchanges replicas one by one may have no room for both revisions on a return either.
  if (rollout.returning && kind?.case !== "rolling") return [{ ...FINAL, traffic: "return", readyPercent: 0 }];
  switch (kind?.case) {
    case "canary":
      return canarySteps(rollout, kind.value);
    case "blueGreen":
      return [previewStep(kind.value.previewSeconds, kind.value.manual), FINAL];
    case "rolling":
      return [{ ...FINAL, traffic: "rolling", readyPercent: 0 }];
    case "abTest":
      return [abStep(kind.value), FINAL];
    case "shadow":
      return [shadowStep(kind.value), FINAL];
    case "allAtOnce":
      return [FINAL];
    default:
      return rollout.canary === undefined ? [FINAL] : canarySteps(rollout, rollout.canary);
  }
}

/** The step a rollout is in. */
export function currentStep(rollout: Rollout): ResolvedStep {
  return rolloutSteps(rollout)[rollout.step] ?? FINAL;
}

/** Tells whether the step is the last one. */
export function isLastStep(rollout: Rollout): boolean {
  return rollout.step + 1 >= rolloutSteps(rollout).length;
}

/** Tells whether a last step asks for nothing but all the traffic, so that promotion may begin at once. */
export function isPlainFinal(step: ResolvedStep): boolean {
  const asksMore = step.holdSeconds > 0 || step.minRequests > 0 || step.manual;
  return step.traffic === "split" && step.weightPercent === 100 && !asksMore;
}

/** The groups of nodes that a rollout reaches one after the other; at least one. */
export function waveCount(rollout: Rollout): number {
  const kind = rollout.strategy?.kind;
  if (rollout.fromRevision === 0 || rollout.returning || kind?.case !== "canary") return 1;
  return Math.max(1, kind.value.waves.length);
}

/** Share of the nodes reached so far that may fail before the whole rollout does; percent. */
export function maxFailedPercent(rollout: Rollout): number {
  const kind = rollout.strategy?.kind;
  return kind?.case === "canary" ? kind.value.maxFailedPercent : 0;
}

function canarySteps(rollout: Rollout, { steps }: CanaryStrategy): readonly ResolvedStep[] {
  const once = canaryWave(steps, rollout.analysis?.passEndsHolds ?? false);
  return Array.from({ length: waveCount(rollout) }, (_, wave) => once.map((step) => ({ ...step, wave }))).flat();
}

/** The steps up to the first with weight 100, which is added when missing. */
function canaryWave(steps: CanaryStrategy["steps"], endsOnPass: boolean): ResolvedStep[] {
  const resolved: ResolvedStep[] = [];
  for (const { weightPercent, holdSeconds, minRequests, manual, unjudged } of steps) {
    const weight = Math.min(100, Math.max(1, weightPercent));
    const asked = { holdSeconds, minRequests, manual, judged: !unjudged, endsOnPass };
    resolved.push({ ...FINAL, ...asked, weightPercent: weight, readyPercent: weight });
    if (weight === 100) return resolved;
  }
  return [...resolved, FINAL];
}

function previewStep(holdSeconds: number, manual: boolean): ResolvedStep {
  return { ...FINAL, traffic: "preview", weightPercent: 0, holdSeconds, manual, judged: false };
}

function abStep({ by, weightPercent, runSeconds, minRequests }: AbTestStrategy): ResolvedStep {
  const asked = { holdSeconds: runSeconds || AB_RUN_SECONDS, minRequests, manual: true, endsOnPass: true };
  if (by.case === "match") {
    return { ...FINAL, ...asked, traffic: "match", weightPercent: 0, readyPercent: weightPercent || 100 };
  }
  const weight = weightPercent || 50;
  return { ...FINAL, ...asked, weightPercent: weight, readyPercent: weight };
}

function shadowStep({ mirrorPercent, runSeconds, minCompared, promote }: ShadowStrategy): ResolvedStep {
  const asked = { holdSeconds: runSeconds, minRequests: minCompared || MIN_COMPARED, manual: !promote };
  return { ...FINAL, ...asked, traffic: "mirror", weightPercent: 0, readyPercent: mirrorPercent || 100 };
}
