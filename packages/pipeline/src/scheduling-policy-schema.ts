import { z } from "zod";
import { duration, mebibytes, name, report, teamCpu, whole } from "./fields.ts";
import { LIMITS } from "./limits.ts";

/** GPUs with at most three decimals, the least part that can be asked for. */
const gpus = z
  .number()
  .gt(0)
  .max(1_000_000)
  .superRefine((value, ctx) => {
    const milli = value * 1000;
    if (Math.abs(milli - Math.round(milli)) > 1e-6) report(ctx, `must have at most three decimals, not ${value}`);
  });

const quota = z.strictObject({
  cpu: teamCpu.optional(),
  memory: mebibytes.optional(),
  disk: mebibytes.optional(),
  gpus: gpus.optional().meta({ description: "Whole devices and parts of them." }),
  jobs: whole(1, 1_000_000).optional().meta({ description: "Jobs that hold a node at once." }),
});

const team = z
  .strictObject({
    share: z
      .number()
      .gt(0)
      .max(1_000_000)
      .optional()
      .meta({ description: "Part of the cluster, in relation to the other teams' shares. Default: 1." }),
    quota: quota
      .optional()
      .meta({ description: "Most that the team's jobs hold at once; what is absent has no limit." }),
  })
  .nullable();

function atMost<Schema extends z.ZodType<object>>(schema: Schema, what: string) {
  return schema.refine((value) => Object.keys(value).length <= LIMITS.teams, `at most ${LIMITS.teams} ${what}`);
}

const quarantine = z.strictObject({
  automatic: z.boolean().optional().meta({ description: "Sick nodes are set aside without asking. Default: true." }),
  "max-percent": whole(1, 100)
    .optional()
    .meta({ description: "Nodes in quarantine at once, one at least. Default: 10." }),
  first: duration.optional().meta({ description: "Time until probation; each time after it is twice as long." }),
  "end-tasks": z.boolean().optional().meta({ description: "Tasks on such nodes end and are tried elsewhere." }),
});

/** A scheduling policy file. */
export const schedulingPolicySchema = z.strictObject({
  teams: atMost(z.record(name("team"), team), "teams").optional(),
  "usage-half-life": duration.optional().meta({ description: "Time in which past usage comes to count half." }),
  "reserve-after": duration.optional().meta({ description: "Wait after which room is held for a job." }),
  "max-reservations": whole(1, 1000).optional().meta({ description: "Jobs that room is held for at once." }),
  preemption: z.boolean().optional().meta({ description: "Higher priorities may take the place of lower ones." }),
  concurrency: atMost(z.record(name("group"), whole(1, 100_000)), "groups")
    .optional()
    .meta({ description: "Limits of concurrency groups, in place of those that jobs give." }),
  quarantine: quarantine.optional().meta({ description: "When nodes that are sick are set aside." }),
});

/** A scheduling policy file once it is checked. */
export type SchedulingPolicyFields = z.output<typeof schedulingPolicySchema>;
