export { type InformationLimitOptions, informationLimit } from "./information.ts";
export { createJudge } from "./judge.ts";
export type { ArmWindow, Judge, JudgeOptions, JudgeVerdict, JudgeWindow } from "./judge-types.ts";
export { verdictMessage } from "./verdict-message.ts";
