import { create } from "@bufbuild/protobuf";
import {
  ApprovalJobSchema,
  CallJobSchema,
  DeployJobSchema,
  GateJobSchema,
  type JobSpec,
  NotifyJobSchema,
  StepListSchema,
} from "@kedge/proto";
import { z } from "zod";
import { compileDeployment } from "./deployment-compile.ts";
import { deployJobSchema } from "./deployment-schema.ts";
import { duration, early, name, scalarText, someText, text, whole } from "./fields.ts";
import { gateRules } from "./gate-rules.ts";
import { stepsSchema } from "./steps.ts";

type Work = JobSpec["work"];

const steps = stepsSchema.transform(
  (list): Work => ({ case: "steps", value: create(StepListSchema, { steps: list }) }),
);

const gate = gateRules.transform((rules): Work => ({ case: "gate", value: create(GateJobSchema, { rules }) }));

const approver = early(
  (value) => /^(?:role:(?:operator|admin)|team:[a-z0-9-]{1,40}|[a-zA-Z0-9][a-zA-Z0-9._@-]{0,63})$/.test(value),
  "the name of a token, role:operator, role:admin or team:<team>",
);

const approval = z
  .strictObject({
    message: text.default(""),
    timeout: duration.default(86_400),
    approvers: z.array(approver).min(1).max(50).optional().meta({ description: "Default: operators and admins." }),
    required: whole(1, 20).default(1).meta({ description: "So many different people." }),
    "not-by-submitter": z.boolean().default(false),
  })
  .nullable()
  .transform((fields): Work => {
    const { message = "", timeout = 86_400, approvers = [], required = 1 } = fields ?? {};
    const notBySubmitter = fields?.["not-by-submitter"] ?? false;
    const value = { message, timeoutSeconds: timeout, approvers, required, notBySubmitter };
    return { case: "approval", value: create(ApprovalJobSchema, value) };
  });

const call = z
  .strictObject({
    pipeline: name("pipeline"),
    parameters: z.record(text, scalarText).default({}),
    detach: z.boolean().default(false),
  })
  .transform((fields): Work => ({ case: "call", value: create(CallJobSchema, fields) }))
  .meta({ description: "Runs another pipeline, with the same source, and ends as it does." });

const notify = z
  .strictObject({ receiver: name("receiver"), message: someText })
  .transform((fields): Work => ({ case: "notify", value: create(NotifyJobSchema, fields) }))
  .meta({ description: "Tells a receiver of the alert policy." });

const deploy = deployJobSchema.transform((fields): Work => {
  const deployment = compileDeployment(fields.name, fields);
  return { case: "deploy", value: create(DeployJobSchema, { deployment, detach: fields.detach ?? false }) };
});

/** What a job can be: the key that makes it so, and how its value becomes the job's work. */
export const WORK_TYPES = { steps, gate, approval, deploy, call, notify } as const;
/** The keys of WORK_TYPES. */
export const WORK_KINDS: readonly string[] = Object.keys(WORK_TYPES);
