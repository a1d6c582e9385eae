import { create } from "@bufbuild/protobuf";
import {
  AllAtOnceStrategySchema,
  AnalysisSpecSchema,
  type CanaryStep,
  CanaryStepSchema,
  CanaryStrategySchema,
  type DeploymentSpec,
  DeploymentSpecSchema,
  type Diagnostic,
  ModelRefSchema,
  type ReplicaTemplate,
  ReplicaTemplateSchema,
  RuntimeKind,
  type Strategy,
  StrategySchema,
} from "@kedge/proto";
import { type DeploymentFields, deploymentFileSchema } from "./deployment-schema.ts";
import { compilePlacement } from "./placement.ts";
import { readPlainFile } from "./plain-file.ts";
import { compileResources } from "./resources.ts";
import { isTextField } from "./text-fields.ts";

/** The deployment, absent when any diagnostic is an error, and everything found, sorted by position. */
export interface DeploymentResult {
  readonly spec?: DeploymentSpec;
  readonly diagnostics: Diagnostic[];
}

/** Reads a deployment file. Never throws. `file` is the name used in diagnostics; default deployment.yaml. */
export function parseDeployment(source: string, options: { readonly file?: string } = {}): DeploymentResult {
  const file = options.file ?? "deployment.yaml";
  const { data, diagnostics } = readPlainFile(source, {
    file,
    called: "deployment file",
    asWritten: isTextField,
    schema: deploymentFileSchema,
  });
  return data === undefined ? { diagnostics } : { spec: compileDeployment(data.deployment, data), diagnostics };
}

/** The proto form of a checked deployment, defaults filled. */
export function compileDeployment(name: string, fields: DeploymentFields): DeploymentSpec {
  const perNode = fields["replicas-per-node"];
  return create(DeploymentSpecSchema, {
    name,
    template: compileTemplate(fields),
    placement: compilePlacement(fields.on, fields),
    priority: fields.priority ?? 0,
    scale:
      perNode === undefined
        ? { case: "replicas", value: fields.replicas ?? 1 }
        : { case: "replicasPerNode", value: perNode },
    strategy: compileStrategy(fields),
    analysis: create(AnalysisSpecSchema, {
      alpha: fields.analysis?.alpha ?? 0.01,
      disabled: fields.analysis?.disabled ?? false,
    }),
  });
}

function compileTemplate(fields: DeploymentFields): ReplicaTemplate {
  const { model, image = "" } = fields;
  const isImage = model === undefined;
  const docker = fields.runtime === undefined ? isImage : fields.runtime === "docker";
  return create(ReplicaTemplateSchema, {
    source: isImage
      ? { case: "image", value: image }
      : { case: "model", value: create(ModelRefSchema, { model, version: fields.version ?? "" }) },
    runtime: docker ? RuntimeKind.DOCKER : RuntimeKind.PROCESS,
    resources: compileResources(fields.resources),
    env: { ...fields.env },
    port: fields.port ?? 0,
    healthPath: fields["health-path"] ?? "/v2/health/ready",
    startTimeoutSeconds: fields["start-timeout"] ?? 60,
  });
}

const DEFAULT_STEPS: readonly CanaryStep[] = [
  create(CanaryStepSchema, { weightPercent: 10, holdSeconds: 30 }),
  create(CanaryStepSchema, { weightPercent: 50, holdSeconds: 30 }),
];

function compileStrategy(fields: DeploymentFields): Strategy {
  const progressDeadlineSeconds = fields["progress-deadline"] ?? 600;
  if (fields["all-at-once"] !== undefined) {
    const allAtOnce = create(AllAtOnceStrategySchema);
    return create(StrategySchema, { kind: { case: "allAtOnce", value: allAtOnce }, progressDeadlineSeconds });
  }
  const steps = fields.canary?.steps.map(compileStep) ?? [...DEFAULT_STEPS];
  if (steps.at(-1)?.weightPercent !== 100) steps.push(create(CanaryStepSchema, { weightPercent: 100 }));
  const canary = create(CanaryStrategySchema, { steps });
  return create(StrategySchema, { kind: { case: "canary", value: canary }, progressDeadlineSeconds });
}

type Step = NonNullable<DeploymentFields["canary"]>["steps"][number];

function compileStep(step: Step): CanaryStep {
  if (typeof step === "number") return create(CanaryStepSchema, { weightPercent: step });
  return create(CanaryStepSchema, {
    weightPercent: step.weight,
    holdSeconds: step.hold ?? 0,
    minRequests: step["min-requests"] ?? 0,
    manual: step.manual ?? false,
  });
}
