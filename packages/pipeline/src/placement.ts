import { create } from "@bufbuild/protobuf";
import { isName } from "@kedge/domain";
import {
  LabelAffinitySchema,
  type Placement,
  PlacementSchema,
  SpreadSchema,
  type WorkloadAffinity,
  WorkloadAffinitySchema,
} from "@kedge/proto";
import { z } from "zod";
import { parseCondition } from "./conditions.ts";
import { hasLookup } from "./expressions.ts";
import { EARLY_HINT, early, labelKey, labels, report, whole } from "./fields.ts";

const MAX_ITEMS = 20;
const DEFAULT_WEIGHT = 50;

const condition = z
  .string()
  .meta({ examples: ["zone in (eu, us)", "gpu-memory >= 40", "!spot"] })
  .transform((value, ctx) => {
    if (hasLookup(value)) {
      report(ctx, "must be a condition on a label, not a late-bound expression", { hint: EARLY_HINT });
      return z.NEVER;
    }
    const read = parseCondition(value);
    if ("constraint" in read) return read.constraint;
    report(ctx, `must ${read.problem}`, read.hint === undefined ? {} : { hint: read.hint });
    return z.NEVER;
  });

const preference = z
  .union([
    condition,
    z.strictObject({
      label: condition,
      weight: whole(-100, 100)
        .optional()
        .meta({ description: `Below 0: rather not there. Default: ${DEFAULT_WEIGHT}.` })
        .superRefine((weight, ctx) => {
          if (weight === 0) report(ctx, "a weight of 0 prefers nothing", { hint: "1 to 100, or -1 to -100" });
        }),
    }),
  ])
  .transform((value) => {
    const { label, weight = DEFAULT_WEIGHT } = "$typeName" in value ? { label: value } : value;
    return create(LabelAffinitySchema, { constraint: label, weight });
  });

/** Tells whether text names a deployment, or a pipeline and a job of it. */
function isWorkload(value: string): boolean {
  const [first = "", job, ...rest] = value.split("/");
  if (rest.length > 0) return false;
  return job === undefined ? isName("deployment", first) : isName("pipeline", first) && isName("job", job);
}

const workload = early(isWorkload, "a deployment or <pipeline>/<job>");

const neighbour = z
  .union([
    workload,
    z
      .strictObject({
        workload,
        required: z.boolean().optional().meta({ description: "A condition instead of a wish." }),
        weight: whole(1, 100)
          .optional()
          .meta({ description: `Of a wish. Default: ${DEFAULT_WEIGHT}.` }),
      })
      .superRefine((value, ctx) => {
        if (!value.required || value.weight === undefined) return;
        report(ctx, "a condition has no weight", { path: ["weight"], atKey: true, hint: "remove weight or required" });
      }),
  ])
  .transform((value): WorkloadAffinity => {
    const { workload, required = false, weight } = typeof value === "string" ? { workload: value } : value;
    return create(WorkloadAffinitySchema, { workload, required, weight: required ? 0 : (weight ?? DEFAULT_WEIGHT) });
  });

const spread = z
  .union([
    labelKey,
    z.strictObject({
      over: labelKey,
      "max-skew": whole(1, 1000)
        .optional()
        .meta({ description: "By how many copies two values may differ; default: evenness is a wish." }),
    }),
  ])
  .transform((value) => {
    const fields: { over: string; "max-skew"?: number | undefined } =
      typeof value === "string" ? { over: value } : value;
    return create(SpreadSchema, { label: fields.over, maxSkew: fields["max-skew"] ?? 0 });
  });

/** Labels that a node must carry, under the key that each language has for them. */
export const nodeLabels = labels.optional().meta({ description: "Labels a node must carry." });

/** What jobs and deployments say alike of where they may run. */
export const placementFields = {
  tolerations: z.array(labelKey).max(MAX_ITEMS).optional(),
  require: z.array(condition).max(MAX_ITEMS).optional().meta({ description: "Conditions, all of which must hold." }),
  prefer: z.array(preference).max(MAX_ITEMS).optional().meta({ description: "Wishes between nodes that fit." }),
  near: z.array(neighbour).max(MAX_ITEMS).optional().meta({ description: "Where these workloads run." }),
  apart: z.array(neighbour).max(MAX_ITEMS).optional().meta({ description: "Where these workloads do not run." }),
  spread: spread.optional().meta({ description: "Evenly over the values of a label." }),
  "distinct-nodes": z.boolean().optional().meta({ description: "No two copies on one node." }),
};

/** `placementFields` once they are checked. */
export type PlacementFields = z.output<z.ZodObject<typeof placementFields>>;

/** The priority of jobs and deployments. */
export const priority = whole(-100, 100)
  .optional()
  .meta({ description: "Higher gets room first, and may take the place of lower ones. Default: 0." });

/** The placement as the scheduler takes it. */
export function compilePlacement(
  nodeSelector: Readonly<Record<string, string>> = {},
  fields: PlacementFields,
): Placement {
  const { near = [], apart = [] } = fields;
  return create(PlacementSchema, {
    nodeSelector: { ...nodeSelector },
    tolerations: fields.tolerations ?? [],
    constraints: fields.require ?? [],
    affinities: fields.prefer ?? [],
    workloads: [...near, ...apart.map((it) => ({ ...it, apart: true }))],
    ...(fields.spread === undefined ? {} : { spread: fields.spread }),
    distinctNodes: fields["distinct-nodes"] ?? false,
  });
}
