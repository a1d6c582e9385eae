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
export { verdictMessage } from "./verdict-message.ts";
