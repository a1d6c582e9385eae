export {
  baseUrlProblem,
  headerNameProblem,
  headerValueProblem,
  patternProblem,
  REDACTED,
  signingSecretProblem,
  urlProblem,
} from "./alert-fields.ts";
export { errorMessage, isKedgeError, KedgeError, type KedgeErrorOptions } from "./error.ts";
export { ERROR_REASONS, ErrorCode, type ErrorCodeName, type ErrorReason } from "./error-reasons.ts";
export {
  type ChunkSequence,
  checkTree,
  chunkSequence,
  comparePaths,
  isFile,
  isInnerLink,
  isSameDigest,
  isTreePath,
  lookAlikes,
  TREE_LIMITS,
  type TreeSize,
} from "./file-tree.ts";
export { DOCKER_HUB, type ImagePlace, imagePlace, registryHost } from "./image-place.ts";
export { createMasker, type Masker, MaskSet } from "./masking/mask-set.ts";
export { MASK, MaskStream } from "./masking/mask-stream.ts";
export { isMaskable, MIN_MASKED_BYTES } from "./masking/secret-forms.ts";
export { isMetricName, MAX_USER_METRICS, OWN_METRIC_NAMES } from "./metric-names.ts";
export { assertName, editDistance, isFlagLabel, isName, MAX_NAME_LENGTH, type NameKind, nearNames } from "./names.ts";
export { isFieldName, requestKeyProblem, requestMatchProblems } from "./request-keys.ts";
export { type Amounts, addAmounts, capacityAmounts, requestAmounts, subtractAmounts } from "./resources.ts";
export { compareSemver, parseSemver, type Semver } from "./semver.ts";
export { sparkline } from "./sparkline.ts";
export { assertNoProblems, fieldOf, type SpecProblem } from "./spec-problem.ts";
export {
  isJobEnded,
  isRolloutEnded,
  isRunEnded,
  isTaskEnded,
  isTransition,
  JOB_TRANSITIONS,
  TASK_TRANSITIONS,
} from "./state-tables.ts";
export { STRATEGY_LIMITS, strategyProblems } from "./strategy-problems.ts";
export { isUlid, ulid } from "./ulid.ts";
export { mixUserHash } from "./user-hash.ts";
