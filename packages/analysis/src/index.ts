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
export { UserCohort, type UserRequest, type UserWindow } from "./judge/user-cohort.ts";
export { verdictMessage } from "./verdict-message.ts";
