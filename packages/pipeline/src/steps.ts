import { create } from "@bufbuild/protobuf";
import {
  BuildStepSchema,
  CheckoutStepSchema,
  ModelStepSchema,
  RunStepSchema,
  type Step,
  StepSchema,
} from "@kedge/proto";
import { z } from "zod";
import {
  duration,
  early,
  env,
  exactlyOne,
  innerPath,
  name,
  reference,
  report,
  scalarText,
  someText,
  text,
  whole,
} from "./fields.ts";
import { quote } from "./finding.ts";
import { LIMITS } from "./limits.ts";

type Action = Step["action"];

const run = z
  .union([
    someText,
    z
      .strictObject({
        script: someText.optional(),
        command: z.array(scalarText).min(1).max(1000).optional(),
        image: reference("an image").optional(),
      })
      .superRefine((value, ctx) => exactlyOne(value, ["script", "command"], ctx)),
  ])
  .transform((value): Action => {
    const { script = "", command = [], image = "" } = typeof value === "string" ? { script: value } : value;
    return { case: "run", value: create(RunStepSchema, { script, command, image }) };
  });

const checkout = z
  .strictObject({
    repository: reference("a repository").optional(),
    ref: reference("a commit, branch or tag").optional(),
    depth: whole(1, 1_000_000).optional(),
  })
  .nullable()
  .transform((value): Action => {
    const { repository = "", ref = "", depth = 1 } = value ?? {};
    return { case: "checkout", value: create(CheckoutStepSchema, { repository, ref, depth }) };
  });

const build = z
  .strictObject({
    context: innerPath.default("."),
    dockerfile: innerPath.default("Dockerfile"),
    args: z
      .record(
        early((key) => /^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(key), "a build argument's name"),
        scalarText,
      )
      .default({}),
    tags: z.array(reference("an image name")).max(20).default([]),
    target: reference("a stage").default(""),
    push: z.boolean().default(false),
    "no-cache": z.boolean().default(false),
  })
  .superRefine((value, ctx) => {
    if (!value.push || value.tags.length > 0) return;
    report(ctx, "push needs tags: the names to push to", {
      path: ["push"],
      hint: "e.g. tags: [registry.example/app:1]",
    });
  })
  .transform(
    ({ "no-cache": noCache, ...value }): Action => ({
      case: "build",
      value: create(BuildStepSchema, { ...value, noCache }),
    }),
  );

const model = z
  .strictObject({
    push: name("model"),
    path: innerPath,
    tags: z.array(name("tag")).max(20).default([]),
    force: z.boolean().default(false),
  })
  .transform(
    ({ push, ...value }): Action => ({ case: "model", value: create(ModelStepSchema, { ...value, model: push }) }),
  );

/** The kinds of steps: the key that makes a step one of them, and how its value becomes an action. */
const STEP_TYPES = { run, checkout, build, model } as const;
const KINDS = Object.keys(STEP_TYPES);

const stepFields = z
  .strictObject({
    name: text.optional(),
    env: env.optional(),
    timeout: duration.optional(),
    metrics: innerPath.optional().meta({ description: "File the step writes: a flat JSON object of numbers." }),
    outputs: innerPath.optional().meta({ description: "File the step writes: KEY=VALUE lines." }),
    run: STEP_TYPES.run.optional(),
    checkout: STEP_TYPES.checkout.optional(),
    build: STEP_TYPES.build.optional(),
    model: STEP_TYPES.model.optional(),
  })
  .superRefine((step, ctx) => exactlyOne(step, KINDS, ctx));

/** The `steps` of a job, in their proto form with names filled. */
export const stepsSchema = z
  .array(z.union([z.literal("checkout"), stepFields]))
  .min(1)
  .max(LIMITS.stepsPerJob)
  .transform((steps) =>
    steps.map((step, i) => compileStep(step === "checkout" ? { checkout: STEP_TYPES.checkout.parse(null) } : step, i)),
  )
  .superRefine((steps, ctx) => {
    const names = steps.map((step) => step.name);
    for (const [i, own] of names.entries()) {
      if (names.indexOf(own) !== i) report(ctx, `two steps are called ${quote(own)}`, { path: [i] });
    }
  });

function compileStep(fields: z.output<typeof stepFields>, index: number): Step {
  const action = fields.run ?? fields.checkout ?? fields.build ?? fields.model ?? { case: undefined };
  return create(StepSchema, {
    name: fields.name ?? `${action.case}-${index + 1}`,
    env: { ...fields.env },
    timeoutSeconds: fields.timeout ?? 0,
    metricsFile: fields.metrics ?? "",
    outputsFile: fields.outputs ?? "",
    action,
  });
}

/** Tells whether a step can only run in or through Docker. */
export function needsDocker({ action }: Step): boolean {
  return action.case === "build" || (action.case === "run" && action.value.image !== "");
}
