import { create } from "@bufbuild/protobuf";
import { type ConcurrencyGroup, type JobSpec, JobSpecSchema, LostPolicy, RuntimeKind } from "@kedge/proto";
import { z } from "zod";
import { concurrency } from "./concurrency.ts";
import { duration, env, exactlyOne, name, reference, report, whole } from "./fields.ts";
import { compilePlacement, nodeLabels, placementFields, priority } from "./placement.ts";
import { checkPlacement } from "./placement-check.ts";
import { compileResources, resourcesSchema } from "./resources.ts";
import { needsDocker } from "./steps.ts";
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
  "resources",
  "queue-timeout",
  "retry",
] as const;
/** Those that a deployment has as well, some under another name. */
const IN_DEPLOY: ReadonlyMap<string, string> = new Map(
  [...Object.keys(placementFields), "priority", "runtime", "image", "resources"].map((key) => [key, key]),
).set("runs-on", "on");

/** One job of a pipeline. */
export const jobSchema = z
  .strictObject({
    needs: z.array(name("job")).max(1000).optional(),
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
    resources: resourcesSchema.optional(),
    timeout: duration.optional(),
    "queue-timeout": duration.optional().meta({ description: "Longest wait for capacity; default: for ever." }),
    retry: z
      .strictObject({
        attempts: whole(1, 20).optional().meta({ description: "Attempts in all, lost nodes included." }),
        "on-lost": z.enum(["retry", "fail", "hold"]).optional(),
      })
      .optional(),
    "allow-failure": z.boolean().optional(),
    env: env.optional(),
    steps: WORK_TYPES.steps.optional(),
    gate: WORK_TYPES.gate.optional(),
    approval: WORK_TYPES.approval.optional(),
    deploy: WORK_TYPES.deploy.optional(),
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
}

/** The proto form of a checked job, defaults filled. */
export function compileJob(name: string, job: Job, pipeline: JobDefaults): JobSpec {
  return create(JobSpecSchema, {
    name,
    needs: job.needs ?? [],
    env: { ...pipeline.env, ...job.env },
    resources: compileResources(job.resources),
    placement: compilePlacement(job["runs-on"], job),
    priority: job.priority ?? 0,
    gang: job.gang ?? "",
    ...(pipeline.concurrency === undefined ? {} : { concurrency: pipeline.concurrency }),
    finishWithinSeconds: job["finish-within"] ?? 0,
    runtime: runtimeOf(job),
    image: job.image ?? "",
    timeoutSeconds: job.timeout ?? DEFAULT_TIMEOUT_SECONDS,
    queueTimeoutSeconds: job["queue-timeout"] ?? 0,
    onLost: LOST_POLICIES[job.retry?.["on-lost"] ?? "retry"],
    maxAttempts: job.retry?.attempts ?? DEFAULT_ATTEMPTS,
    allowFailure: job["allow-failure"] ?? false,
    work: job.steps ?? job.gate ?? job.approval ?? job.deploy ?? { case: undefined },
  });
}

function runtimeOf(job: Job): RuntimeKind {
  if (job.steps === undefined) return RuntimeKind.UNSPECIFIED;
  const docker = job.runtime === undefined ? wantsDocker(job) : job.runtime === "docker";
  return docker ? RuntimeKind.DOCKER : RuntimeKind.PROCESS;
}

function wantsDocker(job: Job): boolean {
  if (job.image !== undefined) return true;
  return job.steps?.case === "steps" && job.steps.value.steps.some(needsDocker);
}
