import { z } from "zod";
import { duration, early, exactlyOne, holdTime, labels, report, text, whole } from "./fields.ts";
import { quote } from "./finding.ts";

const MAX_REQUESTS = 1_000_000_000;
const NAME = /^[\w!#$%&'*+.^`|~-]{1,64}$/;

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

const waveName = early((value) => /^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/.test(value), "a wave name, e.g. edge-eu");
const wave = z.union([
  waveName.meta({ description: "The nodes that are in no wave before; the last wave only." }),
  z.strictObject({ name: waveName, on: labels.meta({ description: "Labels of its nodes." }) }),
]);

const canary = z
  .strictObject({
    steps: z.array(canaryStep).min(1).max(50),
    waves: z.array(wave).min(2).max(20).optional().meta({ description: "Groups of nodes, one after the other." }),
    "max-failed-percent": whole(0, 100).optional().meta({ description: "Nodes reached that may fail before all do." }),
  })
  .superRefine((fields, ctx) => {
    checkWeights(fields.steps, ctx);
    checkWaves(fields, ctx);
  });

type CanaryFields = z.output<typeof canary>;

function checkWeights(steps: CanaryFields["steps"], ctx: z.RefinementCtx): void {
  const weights = steps.map((step) => (typeof step === "number" ? step : step.weight));
  const wrong = weights.findIndex((each, i) => i > 0 && each <= (weights[i - 1] ?? 0));
  if (wrong < 0) return;
  const message = `weights must ascend: ${weights[wrong]} comes after ${weights[wrong - 1]}`;
  report(ctx, message, { path: ["steps", wrong] });
}

function checkWaves({ waves, "max-failed-percent": allowed }: CanaryFields, ctx: z.RefinementCtx): void {
  if (waves === undefined) {
    const hint = "without waves one failed replica ends the rollout";
    if (allowed !== undefined)
      report(ctx, "max-failed-percent is for waves", { path: ["max-failed-percent"], atKey: true, hint });
    return;
  }
  const names = new Set<string>();
  for (const [i, each] of waves.entries()) {
    const name = typeof each === "string" ? each : each.name;
    const isLast = i === waves.length - 1;
    if (names.has(name)) report(ctx, `there is a wave ${quote(name)} already`, { path: ["waves", i] });
    names.add(name);
    if (typeof each === "string" && !isLast)
      report(ctx, "takes all nodes that are left, so it must be the last", {
        path: ["waves", i],
        hint: "give it labels: { name, on }",
      });
    if (typeof each !== "string" && isLast) {
      const hint = "end with a name alone, e.g. rest";
      report(ctx, "the last wave must be the nodes that are left", { path: ["waves", i], hint });
    }
    if (typeof each !== "string" && Object.keys(each.on).length === 0)
      report(ctx, "must name a label", { path: ["waves", i, "on"] });
  }
}

const keyFields = {
  header: early((value) => NAME.test(value), "the name of a header").optional(),
  cookie: early((value) => NAME.test(value), "the name of a cookie").optional(),
};
const requestKey = z
  .strictObject(keyFields)
  .superRefine((fields, ctx) => exactlyOne(fields, ["header", "cookie"], ctx));

const matchValues = z
  .array(
    text.superRefine((value, ctx) => {
      const bytes = new TextEncoder().encode(value).length;
      if (bytes < 1 || bytes > 128) report(ctx, `must be 1 to 128 bytes, not ${bytes}`);
    }),
  )
  .min(1)
  .max(64);
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
  "scale-down-delay": holdTime.optional().meta({ description: "How long old replicas are kept after a promotion." }),
};

/** The strategy part of a deployment, checked. */
export type StrategyFields = z.output<z.ZodObject<typeof strategyFields>>;

/** What is wrong between the fields of a strategy, and between them and the scale. */
export function checkStrategy(
  fields: StrategyFields & { readonly "replicas-per-node"?: number | undefined },
  ctx: z.RefinementCtx,
): void {
  const [first, second] = STRATEGIES.filter((key) => fields[key] !== undefined);
  if (second !== undefined) report(ctx, `${first} and ${second} exclude each other`, { path: [second], atKey: true });
  if (fields.rolling !== undefined) checkRolling(fields, ctx);
  if (fields.canary?.waves !== undefined && fields["replicas-per-node"] === undefined) {
    const hint = "write replicas-per-node";
    report(ctx, "waves go from node to node and need replicas on every one", {
      path: ["canary", "waves"],
      atKey: true,
      hint,
    });
  }
  if (fields["ab-test"]?.hash !== undefined && fields.sticky !== undefined) {
    const hint = "the test's hash keeps users where they are";
    report(ctx, "sticky and ab-test.hash exclude each other", { path: ["sticky"], atKey: true, hint });
  }
  if (first !== undefined && first !== "canary" && first !== "ab-test" && fields.sticky !== undefined)
    report(ctx, `sticky needs a split, and ${first} has none`, { path: ["sticky"], atKey: true });
}

function checkRolling(
  fields: StrategyFields & { readonly "replicas-per-node"?: number | undefined },
  ctx: z.RefinementCtx,
): void {
  if (fields["replicas-per-node"] !== undefined) {
    const hint = "use canary with waves to go over a fleet bit by bit";
    report(ctx, "rolling and replicas-per-node exclude each other", { path: ["rolling"], atKey: true, hint });
  }
  if (fields["scale-down-delay"] !== undefined) {
    const message = "a rolling rollout has taken the old replicas away when it ends";
    report(ctx, message, { path: ["scale-down-delay"], atKey: true });
  }
}
