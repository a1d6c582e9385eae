import { create } from "@bufbuild/protobuf";
import {
  type DeploymentSpec,
  DeploymentSpecSchema,
  type Diagnostic,
  ModelRefSchema,
  type ReplicaTemplate,
  ReplicaTemplateSchema,
  RuntimeKind,
} from "@kedge/proto";
import { compileAnalysis } from "./analysis-compile.ts";
import { type DeploymentFields, deploymentFileSchema } from "./deployment-schema.ts";
import { compilePlacement } from "./placement.ts";
import { readPlainFile } from "./plain-file.ts";
import { compileResources } from "./resources.ts";
import { compileStrategy } from "./strategy-compile.ts";
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
    analysis: compileAnalysis(fields.analysis),
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
    metricsPath: fields["metrics-path"] ?? "",
    startTimeoutSeconds: fields["start-timeout"] ?? 60,
  });
}
