import type { Clock, Logger } from "@kedge/kernel";
import type { GpuDevice, Lineage, Step, TaskOffer, TaskRefFull } from "@kedge/proto";
import type { ContainerAccess, ImageStore, Networks, RegistryLogins, Runtime } from "@kedge/runtime";
import type { FlagAccess } from "../flags/flag-access.ts";
import { MASKS_FILE } from "../logs/log-masks.ts";
import type { JobStatus } from "../tasks/job-plan.ts";
import type { LogPublisher } from "../tasks/log-publisher.ts";

/** Where steps can run on this node, and what there is to hand out. */
export interface StepRuntimes {
  readonly process: Runtime | undefined;
  readonly docker: Runtime | undefined;
  readonly images: ImageStore | undefined;
  readonly networks: Networks | undefined;
  readonly access: ContainerAccess | undefined;
  readonly gpus: readonly GpuDevice[];
  /** Main script of the model server, which also evaluates and quantizes models. */
  readonly modelServerEntry: string;
}

/** Everything a step's action needs to know. */
export interface StepContext {
  readonly ref: TaskRefFull;
  readonly offer: TaskOffer;
  readonly step: Step;
  /** Position in the job, from 0. */
  readonly index: number;
  readonly workspace: string;
  readonly runtimes: StepRuntimes;
  /** Ids of the GPUs that its workloads may use; undefined on a node without any. */
  readonly gpus: readonly string[] | undefined;
  readonly log: LogPublisher;
  /** Metrics of the steps before this one. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Outputs of the steps before this one. */
  readonly outputs: Readonly<Record<string, string>>;
  /** What the job's steps came to, for post steps; undefined for the others. */
  readonly jobStatus: JobStatus | undefined;
  /** IPv4 addresses of the job's services by name. */
  readonly services: ReadonlyMap<string, string>;
  /** What the job is given to use and nobody to see, by name. Never to be logged, and in no argument of a program. */
  readonly secrets: ReadonlyMap<string, Uint8Array>;
  /** Those that run steps have as variables. */
  readonly secretVariables: Readonly<Record<string, string>>;
  /** Folder with those that run steps have as files. */
  readonly secretsFolder: string | undefined;
  /** For images that are pulled, built on and pushed. */
  readonly logins: RegistryLogins;
  readonly flags: FlagAccess;
  /** CA of the controller. */
  readonly caPem: string;
  /** Ends the step; its reason is the StepFailure to end with. */
  readonly signal: AbortSignal;
  /** Leaves the step: the agent goes away and a later one will adopt what runs. */
  readonly detached: AbortSignal;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What a step that succeeded adds to the job. */
export interface StepResult {
  readonly outputs: Readonly<Record<string, string>>;
  /** What it measured itself. */
  readonly metrics?: Readonly<Record<string, number>>;
}

/** Where a step finds itself. */
export interface StepSurroundings {
  /** Folder of the workspace as the step sees it. */
  readonly workspace: string;
  /** Base URL of the node's feature flags, if the step can reach it. */
  readonly flagsUrl: string | undefined;
  /** Where the step sees the folder with secrets; undefined: there is none. */
  readonly secretsFolder: string | undefined;
  /** Hosts of the job's services by name. */
  readonly services: ReadonlyMap<string, string>;
}

/** Environment of every step, with the job's and the step's own on top. */
export function stepEnvironment(
  context: StepContext,
  { workspace, flagsUrl, secretsFolder, services }: StepSurroundings,
): Record<string, string> {
  const { ref, offer, step, jobStatus } = context;
  return {
    CI: "true",
    ...offer.env,
    ...offer.job?.env,
    ...context.secretVariables,
    ...step.env,
    KEDGE_RUN_ID: ref.runId,
    KEDGE_JOB: ref.job,
    KEDGE_NODE: ref.nodeId,
    KEDGE_ATTEMPT: String(ref.fence),
    KEDGE_WORKSPACE: workspace,
    KEDGE_MASKS: `${workspace}/${MASKS_FILE}`,
    ...Object.fromEntries([...services].map(([name, host]) => [serviceVariable(name), host])),
    ...(secretsFolder === undefined ? {} : { KEDGE_SECRETS: secretsFolder }),
    ...(jobStatus === undefined ? {} : { KEDGE_JOB_STATUS: jobStatus }),
    ...(flagsUrl === undefined ? {} : { KEDGE_FLAGS_URL: flagsUrl }),
    ...controllerAccess(context),
  };
}

/** What steps reach the controller with as their task: only those that may add jobs. The token ends with the task. */
function controllerAccess({ offer, caPem }: Pick<StepContext, "offer" | "caPem">): Record<string, string> {
  if (givenToken(offer).size === 0) return {};
  return { KEDGE_ADDRESS: offer.controllerAddress, KEDGE_TOKEN: offer.stepToken, KEDGE_CA_PEM: caPem };
}

/** The token that steps of a job are given, for masking; empty: none. */
export function givenToken({ stepToken }: TaskOffer): ReadonlyMap<string, Uint8Array> {
  return new Map(stepToken === "" ? [] : [["KEDGE_TOKEN", Buffer.from(stepToken)]]);
}

/** Name of the variable with the host of a service, e.g. KEDGE_SERVICE_MY_DB. */
function serviceVariable(name: string): string {
  return `KEDGE_SERVICE_${name.toUpperCase().replaceAll("-", "_")}`;
}

/** Where a model that this task pushes comes from. */
export function lineageOf(context: StepContext): Pick<Lineage, "runId" | "job" | "repository" | "commit"> {
  const { ref, offer } = context;
  return {
    runId: ref.runId,
    job: ref.job,
    repository: offer.source?.repository ?? "",
    commit: offer.source?.commit ?? "",
  };
}
