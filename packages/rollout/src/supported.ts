import { KedgeError } from "@kedge/domain";
import type { DeploymentSpec } from "@kedge/proto";

/**
 * What the controller and the agents carry out. The machine decides all of it; a row is set once routes, replicas and
 * windows follow what it decides. Nothing is ever done by half: the rest is refused.
 */
export const SUPPORTED = {
  canary: true,
  "all-at-once": true,
  "blue-green": true,
  rolling: true,
  "ab-test": true,
  shadow: true,
  "canary.waves": true,
  "canary.steps.unjudged": true,
  sticky: true,
  "scale-down-delay": true,
  "analysis.metrics": true,
  "analysis.thresholds": true,
  "analysis.pass-margin": true,
  "analysis.pass-required": true,
  "analysis.watch": true,
} as const satisfies Record<string, boolean>;

/** Something that a deployment may ask of a rollout. */
export type RolloutFeature = keyof typeof SUPPORTED;

/** What a deployment asks of its rollouts. */
export function rolloutFeatures({ strategy, analysis }: DeploymentSpec): RolloutFeature[] {
  const kind = strategy?.kind;
  const canary = kind?.case === "canary" ? kind.value : undefined;
  const asked: Record<RolloutFeature, boolean> = {
    canary: canary !== undefined,
    "all-at-once": kind?.case === "allAtOnce",
    "blue-green": kind?.case === "blueGreen",
    rolling: kind?.case === "rolling",
    "ab-test": kind?.case === "abTest",
    shadow: kind?.case === "shadow",
    "canary.waves": (canary?.waves.length ?? 0) > 0 || (canary?.maxFailedPercent ?? 0) > 0,
    "canary.steps.unjudged": canary?.steps.some((step) => step.unjudged) ?? false,
    sticky: strategy?.sticky !== undefined,
    "scale-down-delay": (strategy?.scaleDownDelaySeconds ?? 0) > 0,
    "analysis.metrics": (analysis?.metrics.length ?? 0) > 0,
    "analysis.thresholds": (analysis?.thresholds.length ?? 0) > 0,
    "analysis.pass-margin": (analysis?.passMargin ?? 0) > 0,
    "analysis.pass-required": (analysis?.passRequired ?? false) || (analysis?.passEndsHolds ?? false),
    "analysis.watch": (analysis?.watchSeconds ?? 0) > 0,
  };
  return FEATURES.filter((feature) => asked[feature]);
}

/**
 * Refuses a deployment whose rollouts could only be carried out in part.
 *
 * @param supported default: `SUPPORTED`.
 * @throws KedgeError INVALID_FIELD, naming what is asked for and what there is.
 */
export function assertSupported(
  spec: DeploymentSpec,
  supported: Readonly<Partial<Record<RolloutFeature, boolean>>> = SUPPORTED,
): void {
  const missing = rolloutFeatures(spec).filter((feature) => !supported[feature]);
  const [first] = missing;
  if (first === undefined) return;
  throw new KedgeError("INVALID_FIELD", `this server does not carry out ${missing.join(", ")} yet`, {
    field: first.startsWith("analysis") ? first : "strategy",
    hint: `it carries out ${FEATURES.filter((feature) => supported[feature]).join(", ")}`,
  });
}

const FEATURES = Object.keys(SUPPORTED).filter((key): key is RolloutFeature => key in SUPPORTED);
