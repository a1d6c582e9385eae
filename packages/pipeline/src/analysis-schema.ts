import { z } from "zod";
import { duration, metricName, report, whole } from "./fields.ts";
import { quote } from "./finding.ts";

/** Metrics that Kedge measures itself; a name alone is enough. */
const OWN_METRICS = ["errors", "latency", "predictions", "restarts"] as const;
const MAX_REQUESTS = 1_000_000_000;

const margin = z.number().gt(0).max(10).meta({ description: "How much worse it may be, as a part of the old figure." });

const userMetric = z
  .strictObject({
    name: metricName,
    kind: z.enum(["samples", "mean", "count"]).optional(),
    worse: z.enum(["higher", "lower", "different"]).optional(),
    budget: z.number().gt(0).max(1000).optional().meta({ description: "Its part of alpha beside the others' parts." }),
    "pass-margin": margin.optional(),
    tolerance: z
      .number()
      .gte(0)
      .max(10)
      .optional()
      .meta({ description: "How much worse it may be without that it counts, as a part of the old figure." }),
    "tolerance-floor": z
      .number()
      .gte(0)
      .max(1_000_000)
      .optional()
      .meta({ description: "The same in the metric's unit, latency's in milliseconds; the larger of both holds." }),
    between: z
      .tuple([z.number(), z.number()])
      .optional()
      .meta({ description: "Bounds of the values; kind mean only." }),
  })
  .superRefine(checkMetric);

function checkMetric(metric: z.output<typeof userMetric>, ctx: z.RefinementCtx): void {
  const isOwn = isOwnMetric(metric.name);
  if (isOwn && metric.kind !== undefined) {
    report(ctx, `${metric.name} is measured by Kedge and has a kind of its own`, { path: ["kind"], atKey: true });
  }
  if (!isOwn && metric.kind === undefined)
    report(ctx, `"kind" is required: samples, mean or count, as ${quote(metric.name)} is your own metric`);
  checkTolerance(metric, ctx);
}

function checkTolerance(metric: z.output<typeof userMetric>, ctx: z.RefinementCtx): void {
  for (const key of ["tolerance", "tolerance-floor"] as const) {
    if (metric[key] === undefined) continue;
    if (metric.name !== "latency" && metric.kind !== "samples") {
      report(ctx, `${key} is for latency, and for your own metrics of kind samples`, { path: [key], atKey: true });
    } else if (metric.worse === "different") {
      report(ctx, `${key} needs a side to be worse on: worse is higher or lower`, { path: [key], atKey: true });
    }
  }
}

/** Tells whether Kedge measures a metric itself. */
export function isOwnMetric(name: string): name is (typeof OWN_METRICS)[number] {
  return OWN_METRICS.some((own) => own === name);
}

const threshold = z
  .strictObject({
    metric: metricName,
    quantile: z
      .number()
      .gt(0)
      .lt(1)
      .optional()
      .meta({ description: "Of a distribution, e.g. 0.99; default: the mean." }),
    "at-most": z.number().optional(),
    "at-least": z.number().optional(),
    window: duration.optional(),
    consecutive: whole(1, 1000).optional().meta({ description: "Windows out of bounds in a row until it counts." }),
    "min-requests": whole(0, MAX_REQUESTS).optional().meta({ description: "A window with fewer says nothing." }),
  })
  .superRefine((fields, ctx) => {
    const { "at-most": most, "at-least": least, metric, quantile } = fields;
    if (most === undefined && least === undefined) report(ctx, "one of at-most, at-least is required");
    if (most !== undefined && least !== undefined && least > most)
      report(ctx, `no value is at least ${least} and at most ${most}`, { path: ["at-least"] });
    if (quantile !== undefined && metric === "errors")
      report(ctx, "errors are counted and have no quantile", { path: ["quantile"], atKey: true });
  });

/** How a rollout is judged. */
export const analysisSchema = z
  .strictObject({
    alpha: z
      .number()
      .gt(0)
      .max(0.5)
      .optional()
      .meta({ description: "Chance of rolling back a revision that is not worse." }),
    disabled: z.boolean().optional(),
    metrics: z
      .array(z.union([z.enum(OWN_METRICS), userMetric]))
      .min(1)
      .max(20)
      .optional(),
    thresholds: z.array(threshold).min(1).max(20).optional(),
    action: z.enum(["rollback", "pause"]).optional(),
    "pass-margin": margin.optional(),
    "pass-required": z.boolean().optional().meta({ description: "All traffic only once the judge has passed it." }),
    "pass-ends-holds": z.boolean().optional().meta({ description: "A pass ends the hold that is left of a step." }),
    watch: duration.optional().meta({ description: "Time after a promotion in which an incident takes it back." }),
  })
  .superRefine((fields, ctx) => {
    const names = (fields.metrics ?? []).map((metric) => (typeof metric === "string" ? metric : metric.name));
    const again = names.findIndex((name, i) => isOwnMetric(name) && name !== "restarts" && names.indexOf(name) < i);
    if (again >= 0) report(ctx, `${quote(names[again])} is there already`, { path: ["metrics", again] });
    if (fields.disabled && fields["pass-required"]) {
      const message = "a judge that is disabled passes nothing";
      report(ctx, message, { path: ["pass-required"], atKey: true, others: [["disabled"]] });
    }
  });

/** The analysis part of a deployment, checked. */
export type AnalysisFields = z.output<typeof analysisSchema>;
