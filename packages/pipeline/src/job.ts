import { create } from "@bufbuild/protobuf";
import {
  type ConcurrencyGroup,
  type JobSpec,
  JobSpecSchema,
  LostPolicy,
  type PostStep,
  PostStepSchema,
  RunOn,
  RuntimeKind,
} from "@kedge/proto";
import { z } from "zod";
import { concurrency } from "./concurrency.ts";
import { type MatrixJob, matrixSchema } from "./expand/matrix.ts";
import { duration, env, exactlyOne, name, reference, report, text, whole } from "./fields.ts";
import { artifactsSchema, cachesSchema, inputsSchema } from "./job-files.ts";
import { compilePlacement, nodeLabels, placementFields, priority } from "./placement.ts";
import { checkPlacement } from "./placement-check.ts";
import { compileResources, resourcesSchema } from "./resources.ts";
import { retrySchema } from "./retry.ts";
import { RUN_ON, runOn } from "./run-on.ts";
import { registriesSchema, secretsSchema, servicesSchema } from "./services.ts";
import { needsDocker, stepsSchema } from "./steps.ts";
import { whenSchema } from "./when.ts";
import { WORK_KINDS, WORK_TYPES } from "./works.ts";

const LOST_POLICIES = { retry: LostPolicy.RETRY, fail: LostPolicy.FAIL, hold: LostPolicy.HOLD } as const;
const DEFAULT_TIMEOUT_SECONDS = 3600;
const DEFAULT_ATTEMPTS = 3;

/** Keys that mean something only where a node is held. */
const STEPS_ONLY = [
  "runs-on",
  "tolerations",
  "require",
  "prefer",
  "near",
  "apart",
  "spread",
  "distinct-nodes",
  "priority",
  "gang",
  "concurrency",
  "finish-within",
  "runtime",
  "image",
  "pull",
  "resources",
  "queue-timeout",
  "retry",
  "services",
  "secrets",
  "registries",
  "artifacts",
  "inputs",
  "cache",
  "post",
  "cleanup-timeout",
  "adds-jobs",
] as const;
/** Those that a deployment has as well, some under another name. */
const IN_DEPLOY: ReadonlyMap<string, string> = new Map(
  [...Object.keys(placementFields), "priority", "runtime", "image", "resources"].map((key) => [key, key]),
).set("runs-on", "on");

/** One job of a pipeline. */
export const jobSchema = z
  .strictObject({
    title: text.optional().meta({ description: "For people; default: the name." }),
    stage: name("job").optional(),
    needs: z
      .array(
        z.union([
          name("job").transform((job) => ({ job, optional: false })),
          z.strictObject({ job: name("job"), optional: z.boolean().default(false) }),
        ]),
      )
      .max(1000)
      .optional()
      .meta({ description: "Jobs that end before it. optional: true: it may be skipped, or not be there." }),
    "run-if": runOn.optional().meta({ description: "By what became of its needs. Default: success." }),
    when: whenSchema.optional(),
    matrix: matrixSchema.optional(),
    "fail-fast": z.boolean().optional().meta({ description: "A combination that fails cancels the others." }),
    "max-parallel": whole(1, 1000).optional().meta({ description: "Combinations at once." }),
    environment: name("job").optional().meta({ description: "Name that secrets can be kept to, e.g. production." }),
    "runs-on": nodeLabels,
    ...placementFields,
    priority,
    gang: name("gang").optional().meta({ description: "Jobs of one gang start together or not at all." }),
    concurrency: concurrency.optional(),
    "finish-within": duration
      .optional()
      .meta({ description: "Deadline from the submission on; the job is preferred as it nears." }),
    runtime: z.enum(["docker", "process"]).optional(),
    image: reference("an image").optional().meta({ description: "Container image of the run steps." }),
    pull: z
      .enum(["always", "missing"])
      .optional()
      .meta({ description: "Whether images that the node has are pulled again. Default: missing." }),
    resources: resourcesSchema.optional(),
    timeout: duration.optional(),
    "queue-timeout": duration.optional().meta({ description: "Longest wait for capacity; default: for ever." }),
    retry: retrySchema.optional(),
    services: servicesSchema.optional(),
    secrets: secretsSchema.optional(),
    registries: registriesSchema
      .optional()
      .meta({ description: "Logins for images that are pulled, built on or pushed." }),
    artifacts: artifactsSchema.optional(),
    inputs: inputsSchema.optional(),
    cache: cachesSchema.optional(),
    post: z
      .strictObject({
        always: stepsSchema.optional(),
        success: stepsSchema.optional(),
        failure: stepsSchema.optional(),
      })
      .optional()
      .meta({ description: "Steps after the others, also when the job was cancelled." }),
    "cleanup-timeout": duration.optional().meta({ description: "Of all post steps together; default: 5m." }),
    "adds-jobs": whole(1, 100).optional().meta({ description: "Jobs that it may add to the run while it runs." }),
    "allow-failure": z.boolean().optional(),
    env: env.optional(),
    steps: WORK_TYPES.steps.optional(),
    gate: WORK_TYPES.gate.optional(),
    approval: WORK_TYPES.approval.optional(),
    deploy: WORK_TYPES.deploy.optional(),
    call: WORK_TYPES.call.optional(),
    notify: WORK_TYPES.notify.optional(),
  })
  .superRefine((job, ctx) => {
    exactlyOne(job, WORK_KINDS, ctx);
    if (job.steps === undefined) {
      refuseStepsOnly(job, ctx);
      return;
    }
    checkPlacement({ selectorKey: "runs-on", selector: job["runs-on"], fields: job }, ctx);
    if (job.runtime === "process" && wantsDocker(job)) {
      const hint = "remove the image, or use runtime: docker";
      report(ctx, "the process runtime cannot use images, and a step or the job names or builds one", {
        path: ["runtime"],
        hint,
      });
    }
  });

type Job = z.output<typeof jobSchema>;

function refuseStepsOnly(
  job: { readonly [key in (typeof STEPS_ONLY)[number] | "deploy"]?: unknown },
  ctx: z.RefinementCtx,
): void {
  for (const key of STEPS_ONLY) {
    if (job[key] === undefined) continue;
    const inDeploy = job.deploy === undefined ? undefined : IN_DEPLOY.get(key);
    const hint = inDeploy === undefined ? {} : { hint: `for its replicas write ${inDeploy} under deploy` };
    report(ctx, `${key} is for jobs with steps; this one holds no node`, { path: [key], atKey: true, ...hint });
  }
}

/** What a pipeline gives to its jobs. */
export interface JobDefaults {
  /** Lies under the job's own. */
  readonly env: Readonly<Record<string, string>>;
  readonly concurrency: ConcurrencyGroup | undefined;
  /** The combination that the job is of. */
  readonly cell: MatrixJob | undefined;
}

/** The proto form of a checked job, defaults filled. */
export function compileJob(name: string, job: Job, pipeline: JobDefaults): JobSpec {
  return create(JobSpecSchema, {
    name,
    ...compileGraph(job, pipeline.cell),
    ...compileFiles(job),
    services: job.services ?? [],
    secrets: job.secrets ?? [],
    registries: job.registries ?? [],
    environment: job.environment ?? "",
    retry: job.retry?.rules ?? [],
    post: compilePost(job.post),
    cleanupTimeoutSeconds: job["cleanup-timeout"] ?? 0,
    maxAddedJobs: job["adds-jobs"] ?? 0,
    env: { ...pipeline.env, ...job.env },
    resources: compileResources(job.resources),
    placement: compilePlacement(job["runs-on"], job),
    priority: job.priority ?? 0,
    gang: job.gang ?? "",
    ...(pipeline.concurrency === undefined ? {} : { concurrency: pipeline.concurrency }),
    finishWithinSeconds: job["finish-within"] ?? 0,
    runtime: runtimeOf(job),
    image: job.image ?? "",
    alwaysPull: job.pull === "always",
    timeoutSeconds: job.timeout ?? DEFAULT_TIMEOUT_SECONDS,
    queueTimeoutSeconds: job["queue-timeout"] ?? 0,
    onLost: LOST_POLICIES[job.retry?.["on-lost"] ?? "retry"],
    maxAttempts: job.retry?.attempts ?? DEFAULT_ATTEMPTS,
    allowFailure: job["allow-failure"] ?? false,
    work: job.steps ?? job.gate ?? job.approval ?? job.deploy ?? job.call ?? job.notify ?? { case: undefined },
  });
}

/** When it runs, and as what. */
function compileGraph(job: Job, cell: MatrixJob | undefined) {
  const needs = job.needs ?? [];
  const runIf = job["run-if"];
  return {
    needs: needs.map((need) => need.job),
    optionalNeeds: needs.filter((need) => need.optional).map((need) => need.job),
    runOn: runIf === undefined ? RunOn.UNSPECIFIED : RUN_ON[runIf],
    ...(job.when === undefined ? {} : { when: job.when }),
    title: job.title ?? "",
    stage: job.stage ?? "",
    ...(cell === undefined ? {} : { matrix: { ...cell.values }, matrixJob: cell.job }),
    failFast: job["fail-fast"] ?? false,
    maxParallel: job["max-parallel"] ?? 0,
  };
}

function compileFiles({ artifacts = [], inputs = [], cache = [] }: Job) {
  return { artifacts, inputs, caches: cache };
}

/** Post steps in the order they run: by outcome first, then those that always do. */
function compilePost(post: Job["post"]): PostStep[] {
  const { success = [], failure = [], always = [] } = post ?? {};
  const lists = [
    { on: RunOn.SUCCESS, steps: success },
    { on: RunOn.FAILURE, steps: failure },
    { on: RunOn.ALWAYS, steps: always },
  ];
  return lists.flatMap(({ on, steps }) =>
    steps.map((step) => create(PostStepSchema, { on, step: { ...step, name: `post ${step.name}` } })),
  );
}

/** Where the steps of a checked job run. */
export function runtimeOf(job: Job): RuntimeKind {
  if (job.steps === undefined) return RuntimeKind.UNSPECIFIED;
  const docker = job.runtime === undefined ? wantsDocker(job) : job.runtime === "docker";
  return docker ? RuntimeKind.DOCKER : RuntimeKind.PROCESS;
}

function wantsDocker(job: Job): boolean {
  if (job.image !== undefined) return true;
  const steps = job.steps?.case === "steps" ? job.steps.value.steps : [];
  const { success = [], failure = [], always = [] } = job.post ?? {};
  return [steps, success, failure, always].flat().some(needsDocker);
}
