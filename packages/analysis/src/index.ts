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
export { verdictMessage } from "./verdict-message.ts";
