export { formatAlertPolicy } from "./alert-policy-format.ts";
export { type AlertPolicyResult, parseAlertPolicy } from "./alert-policy-parse.ts";
export { INCIDENT_KINDS, INCIDENT_SEVERITIES } from "./alert-policy-schema.ts";
export { type ConditionOutcome, conditionHolds } from "./condition-holds.ts";
export { type DeploymentResult, parseDeployment } from "./deployment-compile.ts";
export { type Component, type ComponentResult, parseComponent } from "./expand/component.ts";
export { hashedGlobs, type Token, tokenise } from "./expressions.ts";
export { type BaselineLookup, evaluateRule, planRule } from "./gate-rule.ts";
export { fitsGlob, fitsGlobs } from "./glob.ts";
export { IMPORT_KINDS, type ImportKind, importFile, importKindOf } from "./import/import-file.ts";
export type {
  ImportError,
  ImportFidelity,
  ImportNote,
  ImportResult,
} from "./import/import-report.ts";
export { importJenkinsfile } from "./import/jenkins/import-jenkinsfile.ts";
export { parseJenkinsfile } from "./import/jenkins/parse-jenkinsfile.ts";
export {
  alertPolicyJsonSchema,
  deploymentJsonSchema,
  pipelineJsonSchema,
  schedulingPolicyJsonSchema,
} from "./json-schema.ts";
export {
  type CompileOptions,
  type CompileResult,
  compileFragment,
  compilePipeline,
  type FragmentOptions,
  lintPipeline,
  pipelineTriggers,
  type TriggersResult,
  usedComponents,
} from "./pipeline-compile.ts";
export { type JobResult, type ResolveContext, resolveJob, resolveText } from "./resolve.ts";
export { formatSchedulingPolicy } from "./scheduling-policy-format.ts";
export { parseSchedulingPolicy, type SchedulingPolicyResult } from "./scheduling-policy-parse.ts";
