export { desiredRoute, isJudged, type RoutePlan } from "./desired-route.ts";
export { desiredRevisions, desiredScales, type RevisionScale } from "./desired-scales.ts";
export type {
  ArmTotals,
  ReplicaCounts,
  ReplicaView,
  RolloutObservation,
  RouteTraffic,
  WaveView,
} from "./observation.ts";
export { abortRollout, pauseRollout, promoteRollout, resumeRollout } from "./requests.ts";
export { type StartRolloutOptions, startRollout } from "./start.ts";
export { type RolloutStep, type StepInput, stepRollout } from "./step-rollout.ts";
export { type ResolvedStep, rolloutSteps } from "./strategy-steps.ts";
