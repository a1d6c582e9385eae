import { z } from "zod";
import { alertPolicySchema } from "./alert-policy-schema.ts";
import { deploymentFileSchema } from "./deployment-schema.ts";
import { pipelineSchema } from "./pipeline-schema.ts";
import { schedulingPolicySchema } from "./scheduling-policy-schema.ts";

/** The JSON Schema (draft 2020-12) of kedge.yaml, for editors; made from the schemas that the compiler uses. */
export function pipelineJsonSchema(): Record<string, unknown> {
  return { ...z.toJSONSchema(pipelineSchema, { io: "input" }), title: "Kedge pipeline" };
}

/** The JSON Schema (draft 2020-12) of a deployment file, for editors. */
export function deploymentJsonSchema(): Record<string, unknown> {
  return { ...z.toJSONSchema(deploymentFileSchema, { io: "input" }), title: "Kedge deployment" };
}

/** The JSON Schema (draft 2020-12) of a scheduling policy file, for editors. */
export function schedulingPolicyJsonSchema(): Record<string, unknown> {
  return { ...z.toJSONSchema(schedulingPolicySchema, { io: "input" }), title: "Kedge scheduling policy" };
}

/** The JSON Schema (draft 2020-12) of an alert policy file, for editors. */
export function alertPolicyJsonSchema(): Record<string, unknown> {
  return { ...z.toJSONSchema(alertPolicySchema, { io: "input" }), title: "Kedge alert policy" };
}
