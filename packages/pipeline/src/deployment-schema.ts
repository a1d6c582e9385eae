import { z } from "zod";
import { analysisSchema } from "./analysis-schema.ts";
import { duration, early, env, exactlyOne, name, reference, report, version, whole } from "./fields.ts";
import { nodeLabels, placementFields, priority } from "./placement.ts";
import { checkPlacement } from "./placement-check.ts";
import { resourcesSchema } from "./resources.ts";
import { checkStrategy } from "./strategy-findings.ts";
import { checkOneStrategy, strategyFields } from "./strategy-schema.ts";

const healthPath = early((value) => /^\/[^\s?#]{0,255}$/.test(value), "a path that begins with /");

/** The fields that a deployment file and a deploy job share; the name is asked for by each under its own key. */
const sharedFields = {
  model: name("model").optional(),
  version: version.optional().meta({ description: "Version number or tag of the model." }),
  image: reference("an image").optional(),
  port: whole(1, 65_535).optional().meta({ description: "Port the container listens on; with image only." }),
  "health-path": healthPath.optional(),
  "metrics-path": healthPath
    .optional()
    .meta({ description: "Where it tells metrics as Prometheus text; default /metrics." }),
  "start-timeout": duration.optional(),
  runtime: z.enum(["docker", "process"]).optional(),
  resources: resourcesSchema.optional(),
  env: env.optional(),
  on: nodeLabels,
  ...placementFields,
  priority,
  replicas: whole(1, 10_000).optional(),
  "replicas-per-node": whole(1, 100).optional(),
  ...strategyFields,
  analysis: analysisSchema.optional(),
};

type Shared = z.output<z.ZodObject<typeof sharedFields>>;

function checkTemplate(spec: Shared, ctx: z.RefinementCtx): void {
  exactlyOne(spec, ["model", "image"], ctx);
  if (spec.model !== undefined) {
    if (spec.version === undefined) report(ctx, '"version" is required: the number or tag of the model version');
    for (const key of ["port", "health-path", "metrics-path"] as const) {
      if (spec[key] === undefined) continue;
      report(ctx, `${key} is for images; a model is served by Kedge's own server`, { path: [key], atKey: true });
    }
    return;
  }
  if (spec.image === undefined) return;
  if (spec.port === undefined) report(ctx, '"port" is required with image: the port the container listens on');
  if (spec.version !== undefined) {
    report(ctx, "version is for models", { path: ["version"], atKey: true, hint: "the image's tag is its version" });
  }
  if (spec.runtime === "process") report(ctx, "an image needs the docker runtime", { path: ["runtime"] });
}

function checkShared(spec: Shared, ctx: z.RefinementCtx): void {
  checkTemplate(spec, ctx);
  checkPlacement({ selectorKey: "on", selector: spec.on, fields: spec }, ctx);
  if (spec["replicas-per-node"] !== undefined) checkPerNode(spec, ctx);
  checkOneStrategy(spec, ctx);
  if (ctx.issues.length === 0) checkStrategy(spec, ctx);
  if (spec.replicas !== undefined && spec["replicas-per-node"] !== undefined) {
    const message = "replicas and replicas-per-node exclude each other";
    report(ctx, message, { path: ["replicas-per-node"], atKey: true });
  }
}

/** So many replicas on each node that fits leave nothing to spread, and more than one are not apart. */
function checkPerNode(spec: Shared, ctx: z.RefinementCtx): void {
  const hint = "write replicas: the number in all";
  if (spec.spread !== undefined) {
    report(ctx, "spread and replicas-per-node exclude each other", { path: ["spread"], atKey: true, hint });
  }
  if (spec["distinct-nodes"] && spec["replicas-per-node"] !== 1) {
    const others = [["replicas-per-node"]];
    const message = `distinct-nodes allows one replica a node, and replicas-per-node asks for ${spec["replicas-per-node"]}`;
    report(ctx, message, { path: ["distinct-nodes"], atKey: true, others, hint });
  }
}

/** The `deploy` of a pipeline job. */
export const deployJobSchema = z
  .strictObject({
    name: name("deployment"),
    ...sharedFields,
    detach: z.boolean().optional().meta({ description: "Do not wait for the rollout." }),
  })
  .superRefine(checkShared);

/** A deployment file. */
export const deploymentFileSchema = z
  .strictObject({ deployment: name("deployment"), ...sharedFields })
  .superRefine(checkShared);

/** What both hold once they are checked. */
export type DeploymentFields = Shared;
