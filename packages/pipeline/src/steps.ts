import { create } from "@bufbuild/protobuf";
import {
  BuildSecretSchema,
  BuildStepSchema,
  CheckoutStepSchema,
  EvaluateStepSchema,
  GateJobSchema,
  ModelStepSchema,
  QuantizeStepSchema,
  RunOn,
  RunStepSchema,
  SourceKind,
  type Step,
  StepSchema,
  TagModelStepSchema,
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
  version,
  whole,
} from "./fields.ts";
import { quote } from "./finding.ts";
import { gateRules } from "./gate-rules.ts";
import { LIMITS } from "./limits.ts";
import { RUN_ON, runOn } from "./run-on.ts";

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

const secretName = early((value) => /^[A-Za-z_][A-Za-z0-9_-]{0,127}$/.test(value), "the name of a secret");

const checkout = z
  .strictObject({
    repository: reference("a repository").optional(),
    subversion: reference("a URL").optional().meta({ description: "In place of repository: a Subversion folder." }),
    ref: reference("a commit, branch or tag").optional(),
    depth: whole(1, 1_000_000).optional(),
    submodules: z.boolean().optional(),
    lfs: z.boolean().optional(),
    filter: z.enum(["blob:none", "tree:0"]).optional().meta({ description: "Partial clone." }),
    path: innerPath.optional(),
    credential: secretName.optional().meta({ description: "Secret with the password or token." }),
  })
  .superRefine((value, ctx) => {
    if (value.subversion === undefined) return;
    for (const key of ["repository", "depth", "submodules", "lfs", "filter"] as const) {
      if (value[key] !== undefined) report(ctx, `${key} is not for Subversion`, { path: [key], atKey: true });
    }
  })
  .nullable()
  .transform((value): Action => {
    const { repository = "", ref = "", depth = 1, subversion, credential = "", path = "", filter = "" } = value ?? {};
    const kind = subversion === undefined ? SourceKind.GIT : SourceKind.SUBVERSION;
    const extras = { submodules: value?.submodules ?? false, lfs: value?.lfs ?? false, filter, path, credential, kind };
    const where = { repository: subversion ?? repository, ref, depth };
    return { case: "checkout", value: create(CheckoutStepSchema, { ...where, ...extras }) };
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
    secrets: z
      .record(
        early((key) => /^[A-Za-z0-9_.-]{1,64}$/.test(key), "an id"),
        secretName,
      )
      .default({}),
    "cache-from": z.array(reference("an image")).max(20).default([]),
    platforms: z
      .array(early((it) => /^[a-z0-9]+\/[a-z0-9]+(?:\/v[0-9])?$/.test(it), "a platform, e.g. linux/arm64"))
      .max(10)
      .default([]),
  })
  .superRefine((value, ctx) => {
    if (new Set(value.platforms).size < value.platforms.length) {
      report(ctx, "must not name a platform twice", { path: ["platforms"] });
    }
    if (value.platforms.length > 1 && !value.push) {
      report(ctx, "several platforms need push: true", {
        path: ["platforms"],
        hint: "one image of several platforms is only in a registry; the node keeps one of each",
      });
    }
    if (!value.push || value.tags.length > 0) return;
    report(ctx, "push needs tags: the names to push to", {
      path: ["push"],
      hint: "e.g. tags: [registry.example/app:1]",
    });
  })
  .transform(({ "no-cache": noCache, "cache-from": cacheFrom, secrets, ...value }): Action => {
    const mounts = Object.entries(secrets).map(([id, secret]) => create(BuildSecretSchema, { id, secret }));
    return { case: "build", value: create(BuildStepSchema, { ...value, noCache, cacheFrom, secrets: mounts }) };
  });

const MODEL_KINDS = ["push", "tag", "evaluate", "quantize"] as const;
const MODEL_KEYS = {
  push: ["path", "tags", "force"],
  tag: ["version", "tags"],
  evaluate: ["data", "output", "tolerance"],
  quantize: ["output", "min-elements"],
} as const;

const model = z
  .strictObject({
    push: name("model").optional().meta({ description: "Pushes `path` as a new version of this model." }),
    tag: name("model").optional().meta({ description: "Moves `tags` to a `version` of this model." }),
    evaluate: innerPath.optional().meta({ description: "Runs the model in this folder on the examples in `data`." }),
    quantize: innerPath
      .optional()
      .meta({ description: "Stores the weights of this ONNX file as 8-bit integers in `output`." }),
    path: innerPath.optional(),
    version: version.optional(),
    tags: z.array(name("tag")).max(20).optional(),
    force: z.boolean().optional(),
    data: innerPath.optional(),
    output: text.optional(),
    tolerance: z.number().min(0).optional(),
    "min-elements": whole(1, 1_000_000_000).optional(),
  })
  .superRefine((value, ctx) => {
    exactlyOne(value, MODEL_KINDS, ctx);
    const kind = MODEL_KINDS.find((it) => value[it] !== undefined);
    if (kind === undefined) return;
    const allowed: readonly string[] = [kind, ...MODEL_KEYS[kind]];
    for (const key of Object.keys(value)) {
      if (!allowed.includes(key) && !MODEL_KINDS.some((it) => it === key))
        report(ctx, `${key} is not for ${kind}`, { path: [key], atKey: true });
    }
    const [needed] = { push: ["path"], tag: ["version", "tags"], evaluate: ["data"], quantize: ["output"] }[
      kind
    ].filter((key) => !(key in value));
    if (needed !== undefined) report(ctx, `${kind} needs ${needed}`, { path: [kind], atKey: true });
  })
  .transform((value): Action => {
    const { push = "", tag = "", evaluate = "", quantize = "", path = "", tags = [], output = "", data = "" } = value;
    if (push !== "")
      return {
        case: "model",
        value: create(ModelStepSchema, { model: push, path, tags, force: value.force ?? false }),
      };
    if (tag !== "")
      return {
        case: "tagModel",
        value: create(TagModelStepSchema, { model: tag, version: value.version ?? "", tags }),
      };
    if (evaluate !== "")
      return {
        case: "evaluate",
        value: create(EvaluateStepSchema, { path: evaluate, data, output, tolerance: value.tolerance ?? 0 }),
      };
    return {
      case: "quantize",
      value: create(QuantizeStepSchema, { path: quantize, output, minElements: value["min-elements"] ?? 0 }),
    };
  });

const gate = gateRules.transform((rules): Action => ({ case: "gate", value: create(GateJobSchema, { rules }) }));

/** The kinds of steps: the key that makes a step one of them, and how its value becomes an action. */
const STEP_TYPES = { run, checkout, build, model, gate } as const;
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
    gate: STEP_TYPES.gate
      .optional()
      .meta({ description: "Fails the job when a rule does not hold for what it has reported." }),
    use: z.string().optional().meta({ description: "A component's steps: <name>@sha256:<digest>." }),
    with: z.record(text, z.union([z.string(), z.number(), z.boolean()])).optional(),
    component: z.string().optional(),
    "run-if": runOn.optional().meta({ description: "By what became of the steps before it. Default: success." }),
    "allow-failure": z.boolean().optional(),
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

/** Of steps without a name, where it is not their action's. */
const STEP_NAMES: Readonly<Record<string, string>> = { tagModel: "model", evaluate: "model", quantize: "model" };

function compileStep(fields: z.output<typeof stepFields>, index: number): Step {
  const action = fields.run ?? fields.checkout ?? fields.build ?? fields.model ?? fields.gate ?? { case: undefined };
  return create(StepSchema, {
    name: fields.name ?? `${STEP_NAMES[action.case ?? ""] ?? action.case}-${index + 1}`,
    env: { ...fields.env },
    timeoutSeconds: fields.timeout ?? 0,
    metricsFile: fields.metrics ?? "",
    outputsFile: fields.outputs ?? "",
    component: fields.component ?? "",
    runOn: fields["run-if"] === undefined ? RunOn.UNSPECIFIED : RUN_ON[fields["run-if"]],
    allowFailure: fields["allow-failure"] ?? false,
    action,
  });
}

/** Tells whether a step can only run in or through Docker. */
export function needsDocker({ action }: Step): boolean {
  return action.case === "build" || (action.case === "run" && action.value.image !== "");
}
