export {
  type BurnAlert,
  type BurnQuery,
  type BurnRule,
  burnAlerts,
  type RequestWindow,
  STANDARD_BURN_RULES,
} from "./anomaly/burn-rate.ts";
export { createAnomalyDetector } from "./anomaly/detector.ts";
export {
  ALARM_SCORE,
  type AnomalyDetector,
  type AnomalyDetectorOptions,
  type AnomalyKind,
  type AnomalyPoint,
} from "./anomaly/detector-types.ts";
export { dkwRadius } from "./confseq/quantile-bounds.ts";
export type { Interval } from "./evidence/ratio-curve.ts";
export type { Samples } from "./evidence/sample-table.ts";
export { type InformationLimitOptions, informationLimit } from "./information.ts";
export { createJudge } from "./judge/judge.ts";
export type {
  ArmWindow,
  EventCount,
  Judge,
  JudgeOptions,
  JudgeVerdict,
  JudgeWindow,
  MetricValue,
} from "./judge/judge-types.ts";
export { mergeWindows } from "./judge/merge-windows.ts";
export type { MetricOptions } from "./judge/metric-options.ts";
export { createThresholdJudge, type ThresholdJudgeOptions, type ThresholdRule } from "./judge/threshold-judge.ts";
export {
  type ArmUsers,
  type DistinctUsersWindow,
  UserCohort,
  type UserId,
  type UserRequest,
  type UserWindow,
} from "./judge/user-cohort.ts";
export type {
  FleetFacts,
  Misfit,
  NodeJudgement,
  NodeLevel,
  NodeReason,
  NodeTrial,
  OwnFacts,
  WorkloadFacts,
} from "./node-health/health-types.ts";
export { judgeFleet } from "./node-health/judge-fleet.ts";
export { type FleetNode, obstacleToQuarantine, type QuarantineRoom } from "./node-health/quarantine-room.ts";
export type { CauseQuery, ComponentChange, ComponentGroup, Suspect } from "./root-cause/cause-types.ts";
export { anomalyOf } from "./root-cause/propagation.ts";
export { rankCauses } from "./root-cause/rank-causes.ts";
export { type IncidentSamples, type MetricSamples, type RankedMetric, rankMetrics } from "./root-cause/rank-metrics.ts";
export { verdictMessage } from "./verdict-message.ts";
export { assertJudgeable } from "./windows/judge-setup.ts";
export {
  type ArmTotals,
  type Comparisons,
  comparisonsOf,
  type LatencySum,
  latencyOf,
  totalsOf,
} from "./windows/judge-windows.ts";
export { RolloutTrial, type TrialStart } from "./windows/rollout-trial.ts";
