import { create } from "@bufbuild/protobuf";
import { type JobSpec, JobSpecSchema, LostPolicy, PlacementSchema, RuntimeKind } from "@kedge/proto";
import { z } from "zod";
import { duration, env, exactlyOne, labelKey, labels, name, reference, report, whole } from "./fields.ts";
import { compileResources, resourcesSchema } from "./resources.ts";
import { needsDocker } from "./steps.ts";
import { WORK_KINDS, WORK_TYPES } from "./works.ts";

const LOST_POLICIES = { retry: LostPolicy.RETRY, fail: LostPolicy.FAIL, hold: LostPolicy.HOLD } as const;
const DEFAULT_TIMEOUT_SECONDS = 3600;
const DEFAULT_ATTEMPTS = 3;

/** Keys that mean something only where a node is held. */
const STEPS_ONLY = ["runs-on", "tolerations", "runtime", "image", "resources", "queue-timeout", "retry"] as const;

/** One job of a pipeline. */
export const jobSchema = z
  .strictObject({
    needs: z.array(name("job")).max(1000).optional(),
    "runs-on": labels.optional().meta({ description: "Labels a node must carry." }),
    tolerations: z.array(labelKey).max(20).optional(),
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
      for (const key of STEPS_ONLY) {
        if (job[key] !== undefined)
          report(ctx, `${key} is for jobs with steps; this one holds no node`, { path: [key], atKey: true });
      }
    } else if (job.runtime === "process" && wantsDocker(job)) {
      const hint = "remove the image, or use runtime: docker";
      report(ctx, "the process runtime cannot use images, and a step or the job names or builds one", {
        path: ["runtime"],
        hint,
      });
    }
  });

type Job = z.output<typeof jobSchema>;

/** The proto form of a checked job, defaults filled; the pipeline's env lies under the job's. */
export function compileJob(name: string, job: Job, pipelineEnv: Readonly<Record<string, string>>): JobSpec {
  return create(JobSpecSchema, {
    name,
    needs: job.needs ?? [],
    env: { ...pipelineEnv, ...job.env },
    resources: compileResources(job.resources),
    placement: create(PlacementSchema, { nodeSelector: { ...job["runs-on"] }, tolerations: job.tolerations ?? [] }),
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
