export { abandonRevision, type DeploymentRequest, retryRevision, rollbackDeployment } from "./deployment-requests.ts";
export { deploymentRoute, type RouteBrief } from "./deployment-route.ts";
export { desiredRoute, isJudged, type RoutePlan } from "./desired-route.ts";
export { desiredRevisions, desiredScales, type RevisionScale } from "./desired-scales.ts";
export { rolloutObstacle } from "./find-failure.ts";
export { type HeldBackVersion, heldBackVersion } from "./held-back.ts";
export { judgementOf, nodeJudgement } from "./judgement.ts";
export type {
  ArmTotals,
  ReplicaCounts,
  ReplicaView,
  RolloutObservation,
  RouteTraffic,
  WaveView,
} from "./observation.ts";
export { rolloutOutlook } from "./outlook.ts";
export { abortRollout, pauseRollout, promoteRollout, resumeRollout } from "./requests.ts";
export { addRevision, findRevision, hasActiveRollout, waitingRevision, wantedRevision } from "./revisions.ts";
export { type StartRolloutOptions, startRollout } from "./start.ts";
export {
  type DeploymentObservation,
  type DeploymentStep,
  type DeploymentStepInput,
  type Incident,
  stepDeployment,
} from "./step-deployment.ts";
export { type RolloutStep, type StepInput, stepRollout } from "./step-rollout.ts";
export { type ResolvedStep, rolloutSteps } from "./strategy-steps.ts";
export { assertSupported, type RolloutFeature, rolloutFeatures, SUPPORTED } from "./supported.ts";
