export { desiredRevisions, desiredRoute, type RoutePlan } from "./desired.ts";
export type { ArmTotals, ReplicaCounts, ReplicaView, RolloutObservation } from "./observation.ts";
export { abortRollout, pauseRollout, promoteRollout, resumeRollout } from "./requests.ts";
export { type StartRolloutOptions, startRollout } from "./start.ts";
export { type RolloutStep, type StepInput, stepRollout } from "./step-rollout.ts";
export { rolloutSteps } from "./steps.ts";
