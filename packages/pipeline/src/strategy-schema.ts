import { STRATEGY_LIMITS } from "@kedge/domain";
import { z } from "zod";
import { duration, early, exactlyOne, holdTime, labels, report, text, whole } from "./fields.ts";

const MAX_REQUESTS = 1_000_000_000;

const weight = whole(1, 100).meta({ description: "Share of the traffic in percent." });

const canaryStep = z.union([
  whole(1, 100),
  z.strictObject({
    weight,
    hold: holdTime.optional().meta({ description: "Least time at this weight." }),
    "min-requests": whole(0, MAX_REQUESTS).optional(),
    manual: z.boolean().optional().meta({ description: "Wait for `kedge rollout promote`." }),
    judged: z.boolean().optional().meta({ description: "false: the judge does not look at this step." }),
  }),
]);

const waveName = early(() => true, "a wave name");
const wave = z.union([
  waveName.meta({ description: "The nodes that are in no wave before; the last wave only." }),
  z.strictObject({ name: waveName, on: labels.meta({ description: "Labels of its nodes." }) }),
]);

const canary = z.strictObject({
  steps: z.array(canaryStep).min(1).max(STRATEGY_LIMITS.steps),
  waves: z
    .array(wave)
    .min(2)
    .max(STRATEGY_LIMITS.waves)
    .optional()
    .meta({ description: "Groups of nodes, one after the other." }),
  "max-failed-percent": whole(0, 100).optional().meta({ description: "Nodes reached that may fail before all do." }),
});

const keyFields = {
  header: early(() => true, "the name of a header").optional(),
  cookie: early(() => true, "the name of a cookie").optional(),
};
const requestKey = z
  .strictObject(keyFields)
  .superRefine((fields, ctx) => exactlyOne(fields, ["header", "cookie"], ctx));

const matchValues = z.array(text).min(1).max(64);
const match = z
  .strictObject({ ...keyFields, values: matchValues.optional(), prefixes: matchValues.optional() })
  .superRefine((fields, ctx) => {
    exactlyOne(fields, ["header", "cookie"], ctx);
    exactlyOne(fields, ["values", "prefixes"], ctx);
  });

const abTest = z
  .strictObject({
    match: match.optional().meta({ description: "Requests that get the new revision." }),
    hash: requestKey.optional().meta({ description: "Value whose hash decides; a user's key." }),
    weight: weight.optional(),
    run: duration.optional().meta({ description: "Longest run; a verdict ends it before that. Default 7d." }),
    "min-requests": whole(0, MAX_REQUESTS).optional(),
  })
  .superRefine((fields, ctx) => exactlyOne(fields, ["match", "hash"], ctx));

const shadow = z.strictObject({
  mirror: whole(1, 100).optional().meta({ description: "Share of the requests that is copied, in percent." }),
  run: duration,
  "min-compared": whole(1, MAX_REQUESTS).optional(),
  "max-differing-percent": z.number().min(0).max(100).optional(),
  promote: z.boolean().optional().meta({ description: "Go on to all traffic when the comparison passes." }),
});

const countOrPercent = z.union([
  whole(0, 10_000),
  early((value) => /^(\d{1,2}|100)%$/.test(value), "a number of replicas or a percentage, e.g. 25%"),
]);

const blueGreen = z.strictObject({
  preview: holdTime.optional().meta({ description: "Least time between ready and the switch." }),
  manual: z.boolean().optional().meta({ description: "Wait for `kedge rollout promote` before the switch." }),
});

const rolling = z.strictObject({
  "max-surge": countOrPercent.optional(),
  "max-unavailable": countOrPercent.optional(),
});

const warmUp = z.strictObject({
  time: duration.optional().meta({ description: "Since it became ready." }),
  requests: whole(1, STRATEGY_LIMITS.warmUpRequests).optional().meta({ description: "That it has answered." }),
});

/** The ways from one revision to the next; a deployment has one. */
export const STRATEGIES = ["canary", "all-at-once", "blue-green", "rolling", "ab-test", "shadow"] as const;

/** How a deployment moves from one revision to the next. */
export const strategyFields = {
  canary: canary.optional(),
  "all-at-once": z.strictObject({}).nullable().optional(),
  "blue-green": blueGreen.nullable().optional(),
  rolling: rolling.nullable().optional(),
  "ab-test": abTest.optional(),
  shadow: shadow.optional(),
  sticky: requestKey.optional().meta({ description: "Value whose hash keeps a user on one side of a split." }),
  "progress-deadline": duration.optional(),
  "on-deadline": z.enum(["abort", "pause"]).optional(),
  "warm-up": warmUp.optional().meta({ description: "While a replica that is new on a node is not judged." }),
  "scale-down-delay": holdTime.optional().meta({ description: "How long old replicas are kept after a promotion." }),
};

/** The strategy part of a deployment, checked. */
export type StrategyFields = z.output<z.ZodObject<typeof strategyFields>>;

/** Refuses more than one strategy. */
export function checkOneStrategy(fields: StrategyFields, ctx: z.RefinementCtx): void {
  const [first, second] = STRATEGIES.filter((key) => fields[key] !== undefined);
  if (second !== undefined) report(ctx, `${first} and ${second} exclude each other`, { path: [second], atKey: true });
}
