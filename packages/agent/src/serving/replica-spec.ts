import { KedgeError } from "@kedge/domain";
import { type GpuDevice, type ReplicaAssignment, RuntimeKind } from "@kedge/proto";
import type { RegistryLogins, Runtime, WorkloadLimits, WorkloadSpec } from "@kedge/runtime";
import { handOutGpus } from "../node/gpu-handout.ts";

/** Where replicas can run on this node, and what there is to hand out. */
export interface ReplicaRuntimes {
  readonly process: Runtime | undefined;
  readonly docker: Runtime | undefined;
  readonly gpus: readonly GpuDevice[];
  /** The node's own logins to registries. */
  readonly nodeLogins: () => Promise<RegistryLogins>;
}

/** What turns an assignment into a workload. */
export interface ReplicaSpecInput {
  readonly nodeId: string;
  readonly assignment: ReplicaAssignment;
  readonly runtimes: ReplicaRuntimes;
  /** Main script of the model server. */
  readonly modelServerEntry: string;
  /** Folder of the model; for model replicas. */
  readonly modelDir: string | undefined;
  /** The file and, if the replica reaches it, the address of the node's feature flags. */
  readonly flags: { readonly file: string; readonly url: string | undefined };
}

const DEFAULT_HEALTH_PATH = "/v2/health/ready";
const DEFAULT_METRICS_PATH = "/metrics";
const DEFAULT_START_TIMEOUT_S = 60;

/** Name of a replica's workload. */
export function replicaWorkloadId(replicaId: string): string {
  return `replica-${replicaId}`;
}

/** Path that tells whether the replica is ready; always absolute. */
export function healthPath({ template }: ReplicaAssignment): string {
  const path = template?.healthPath ?? "";
  return path.startsWith("/") && !/[\s?#]/.test(path) ? path : DEFAULT_HEALTH_PATH;
}

/** Path where the replica tells metrics; always absolute. */
export function metricsPath({ template }: ReplicaAssignment): string {
  const path = template?.metricsPath ?? "";
  return path.startsWith("/") && !/[^\x21-\x7e]|#/.test(path) ? path : DEFAULT_METRICS_PATH;
}

/** Milliseconds from start to ready before a replica counts as failed. */
export function startTimeoutMs({ template }: ReplicaAssignment): number {
  return (template?.startTimeoutSeconds || DEFAULT_START_TIMEOUT_S) * 1000;
}

/**
 * The workload of a replica and the runtime it needs.
 *
 * @throws KedgeError INVALID_DEPLOYMENT for a template that cannot run here, UNSUPPORTED_PLATFORM without its runtime or
 * the GPUs that were chosen for it.
 */
export function replicaWorkload(input: ReplicaSpecInput): { runtime: Runtime; spec: WorkloadSpec } {
  const { nodeId, assignment, runtimes, flags } = input;
  const { replicaId, deployment, revision, template } = assignment;
  const labels = { "kedge.node": nodeId, "kedge.replica": replicaId, "kedge.deployment": deployment };
  const env = {
    ...template?.env,
    KEDGE_NODE: nodeId,
    KEDGE_DEPLOYMENT: deployment,
    KEDGE_REVISION: String(revision),
    ...(flags.url === undefined ? {} : { KEDGE_FLAGS_URL: flags.url }),
  };
  const common = { id: replicaWorkloadId(replicaId), labels, env, ...gpusOf(assignment, runtimes.gpus) };
  switch (template?.source.case) {
    case "model":
      return { runtime: required(runtimes.process, "process"), spec: { ...common, ...modelServer(input) } };
    case "image": {
      if (template.runtime === RuntimeKind.PROCESS) {
        throw new KedgeError("INVALID_DEPLOYMENT", "an image cannot run as a plain process");
      }
      const image = template.source.value;
      const publish = { containerPort: template.port };
      const spec = { ...common, command: [], image, publish, limits: limitsOf(assignment) };
      return { runtime: required(runtimes.docker, "docker"), spec };
    }
    default:
      throw new KedgeError("INVALID_DEPLOYMENT", "the template names neither a model nor an image");
  }
}

/** The words that the model server's program begins with. */
export function modelServerProgram(entry: string): string[] {
  // Sources run as they are under Node's type stripping; an installed agent has built files.
  return [process.execPath, ...(entry.endsWith(".ts") ? ["-C", "kedge-source"] : []), entry];
}

function modelServer(input: ReplicaSpecInput): Pick<WorkloadSpec, "command" | "publish"> {
  const { assignment, modelServerEntry, modelDir = "", nodeId, flags: known } = input;
  const { deployment, revision, template } = assignment;
  const version = template?.source.case === "model" ? template.source.value.version : "";
  const server = [...modelServerProgram(modelServerEntry), "--model-dir", modelDir, "--name", deployment];
  const rest = ["--version", version, "--host", "127.0.0.1", "--node", nodeId, "--revision", String(revision)];
  const flagsFile = ["--flags-file", known.file];
  // The runtime says through PORT which port is the replica's; the server wants a flag.
  const script = 'exec "$@" --port "$PORT"';
  return { command: ["sh", "-c", script, "sh", ...server, ...rest, ...flagsFile], publish: { containerPort: 1 } };
}

function limitsOf({ template }: ReplicaAssignment): WorkloadLimits {
  const resources = template?.resources;
  return {
    ...(resources !== undefined && resources.cpuMilli > 0 ? { cpuMilli: resources.cpuMilli } : {}),
    ...(resources !== undefined && resources.memoryMib > 0 ? { memoryMib: resources.memoryMib } : {}),
  };
}

function gpusOf(
  { template, gpuIndices }: ReplicaAssignment,
  devices: readonly GpuDevice[],
): Pick<WorkloadSpec, "gpus"> {
  const handout = handOutGpus({ devices, request: template?.resources?.gpu, indices: gpuIndices });
  if ("problem" in handout) throw new KedgeError("UNSUPPORTED_PLATFORM", handout.problem, { field: "gpu_indices" });
  return handout.gpus === undefined ? {} : { gpus: handout.gpus };
}

function required(runtime: Runtime | undefined, kind: string): Runtime {
  if (runtime !== undefined) return runtime;
  throw new KedgeError("UNSUPPORTED_PLATFORM", `this node has no ${kind} runtime`);
}
