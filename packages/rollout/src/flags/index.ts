export { assertFlag, FLAG_LIMITS } from "./assert-flag.ts";
export { attributeOf, type FlagAttributes, TARGETING_KEY } from "./attributes.ts";
export { describeFlagChange, sameFlag, withPlaces } from "./changes.ts";
export { describeRule } from "./describe.ts";
export type { FlagChoice, FlagErrorCode, FlagOutcome, FlagReason } from "./evaluate.ts";
export { explainFlag, type FlagExplanation } from "./explain.ts";
export { FlagSet } from "./flag-set.ts";
export { PLACES } from "./places.ts";
export { askFlag, FLAG_VALUES, type FlagDetails, type FlagQuestion, type FlagValueType } from "./typed-value.ts";
