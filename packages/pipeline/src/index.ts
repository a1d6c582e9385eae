export { type DeploymentResult, parseDeployment } from "./deployment-compile.ts";
export { deploymentJsonSchema, pipelineJsonSchema, schedulingPolicyJsonSchema } from "./json-schema.ts";
export { type CompileOptions, type CompileResult, compilePipeline, lintPipeline } from "./pipeline-compile.ts";
export { type JobResult, type ResolveContext, resolveJob } from "./resolve.ts";
export { formatSchedulingPolicy } from "./scheduling-policy-format.ts";
export { parseSchedulingPolicy, type SchedulingPolicyResult } from "./scheduling-policy-parse.ts";
