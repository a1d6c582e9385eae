import { z } from "zod";
import { concurrency } from "./concurrency.ts";
import { duration, env, name } from "./fields.ts";
import { jobSchema } from "./job.ts";
import { LIMITS } from "./limits.ts";
import { parametersSchema } from "./parameters.ts";
import { runConcurrencySchema, triggersSchema } from "./triggers.ts";

/** A pipeline file whose parameters are bound. */
export const pipelineSchema = z.strictObject({
  name: name("pipeline"),
  parameters: parametersSchema
    .refine(
      (parameters) => Object.keys(parameters).length <= LIMITS.parameters,
      `at most ${LIMITS.parameters} parameters`,
    )
    .optional(),
  timeout: duration.optional(),
  env: env.optional(),
  concurrency: concurrency.optional(),
  on: triggersSchema.optional(),
  runs: runConcurrencySchema.optional(),
  stages: z
    .array(name("job"))
    .min(1)
    .max(100)
    .optional()
    .meta({ description: "In order; a job with a stage and no needs waits for all jobs of the stage before." }),
  jobs: z.record(name("job"), jobSchema).refine((jobs) => Object.keys(jobs).length > 0, "must not be empty"),
});

/** A pipeline once it is checked. */
export type Pipeline = z.output<typeof pipelineSchema>;
