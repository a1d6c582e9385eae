import { create } from "@bufbuild/protobuf";
import {
  ApprovalJobSchema,
  Comparison,
  DeployJobSchema,
  GateBaselineSchema,
  GateJobSchema,
  type GateRule,
  GateRuleSchema,
  type JobSpec,
  StepListSchema,
} from "@kedge/proto";
import { z } from "zod";
import { compileDeployment } from "./deployment-compile.ts";
import { deployJobSchema } from "./deployment-schema.ts";
import { duration, exactlyOne, metricName, name, text, version } from "./fields.ts";
import { stepsSchema } from "./steps.ts";

type Work = JobSpec["work"];

const steps = stepsSchema.transform(
  (list): Work => ({ case: "steps", value: create(StepListSchema, { steps: list }) }),
);

const rule = z
  .strictObject({
    metric: metricName,
    "at-least": z.number().optional(),
    "at-most": z.number().optional(),
    job: name("job").optional().meta({ description: "Job that reported it; default: any in needs." }),
    baseline: z
      .strictObject({ model: name("model"), version })
      .optional()
      .meta({ description: "The threshold is relative to the same metric of this model version." }),
  })
  .superRefine((value, ctx) => exactlyOne(value, ["at-least", "at-most"], ctx));

function compileRule(fields: z.output<typeof rule>): GateRule {
  const least = fields["at-least"];
  return create(GateRuleSchema, {
    job: fields.job ?? "",
    metric: fields.metric,
    comparison: least === undefined ? Comparison.AT_MOST : Comparison.AT_LEAST,
    threshold: least ?? fields["at-most"] ?? 0,
    ...(fields.baseline === undefined ? {} : { baseline: create(GateBaselineSchema, fields.baseline) }),
  });
}

const gate = z
  .array(rule)
  .min(1)
  .max(100)
  .transform((rules): Work => ({ case: "gate", value: create(GateJobSchema, { rules: rules.map(compileRule) }) }));

const approval = z
  .strictObject({ message: text.default(""), timeout: duration.default(86_400) })
  .nullable()
  .transform((fields): Work => {
    const { message = "", timeout = 86_400 } = fields ?? {};
    return { case: "approval", value: create(ApprovalJobSchema, { message, timeoutSeconds: timeout }) };
  });

const deploy = deployJobSchema.transform((fields): Work => {
  const deployment = compileDeployment(fields.name, fields);
  return { case: "deploy", value: create(DeployJobSchema, { deployment, detach: fields.detach ?? false }) };
});

/** What a job can be: the key that makes it so, and how its value becomes the job's work. */
export const WORK_TYPES = { steps, gate, approval, deploy } as const;
/** The keys of WORK_TYPES. */
export const WORK_KINDS: readonly string[] = Object.keys(WORK_TYPES);
