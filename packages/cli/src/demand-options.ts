import { KedgeError } from "@kedge/domain";
import { compilePipeline } from "@kedge/pipeline";
import { Diagnostic_Severity, type JobSpec, RuntimeKind } from "@kedge/proto";
import { type Command, InvalidArgumentError, Option } from "commander";
import { keyValue, positiveInteger, repeated } from "./options.ts";

/** What a demand asks for, as options. Values are those of a job in a pipeline file. */
export interface DemandOptions {
  readonly cpu?: string;
  readonly memory?: string;
  readonly disk?: string;
  readonly gpu?: number;
  readonly gpuShare?: number;
  readonly gpuMemory?: string;
  readonly gpuModel?: string;
  readonly custom?: Readonly<Record<string, string>>;
  readonly runtime?: "docker" | "process";
  readonly on?: Readonly<Record<string, string>>;
  readonly require?: readonly string[];
  readonly prefer?: readonly string[];
  readonly near?: readonly string[];
  readonly apart?: readonly string[];
  readonly toleration?: readonly string[];
  readonly spread?: string;
  readonly maxSkew?: number;
  readonly distinctNodes?: boolean;
  readonly priority?: number;
}

/** What was asked for, compiled. */
export type DemandSpec = Pick<JobSpec, "resources" | "placement" | "runtime" | "priority">;

/** The option for each field of a job. */
const OPTION_OF: Readonly<Record<string, string>> = {
  "resources.cpu": "--cpu",
  "resources.memory": "--memory",
  "resources.disk": "--disk",
  "resources.gpu": "--gpu",
  "resources.gpu.count": "--gpu",
  "resources.gpu.share": "--gpu-share",
  "resources.gpu.memory": "--gpu-memory",
  "resources.gpu.model": "--gpu-model",
  "resources.custom": "--custom",
  "runs-on": "--on",
  require: "--require",
  prefer: "--prefer",
  near: "--near",
  apart: "--apart",
  tolerations: "--toleration",
  spread: "--spread",
  priority: "--priority",
};

/** Adds the options that describe a demand. */
export function addDemandOptions(command: Command): Command {
  return command
    .option("--cpu <cores>", "CPU cores, e.g. 4, 0.5 or 500m")
    .option("--memory <amount>", "memory, e.g. 512Mi or 8Gi")
    .option("--disk <amount>", "disk")
    .option("--gpu <count>", "whole GPUs", positiveInteger)
    .option("--gpu-share <part>", "part of one GPU, e.g. 0.5", decimal)
    .option("--gpu-memory <amount>", "memory of each GPU")
    .option("--gpu-model <name>", "GPU model, as its driver names it")
    .option("--custom <name=count>", "custom resource; may be repeated", keyValue)
    .addOption(new Option("--runtime <kind>", "what it runs in; default: either").choices(["docker", "process"]))
    .option("--on <label=value>", "label the node must carry; may be repeated", keyValue)
    .option("--require <condition>", 'condition on labels, e.g. "zone in (a, b)"; may be repeated', repeated)
    .option("--prefer <condition>", "wish for labels; may be repeated", repeated)
    .option("--near <workload>", "rather where this deployment or <pipeline>/<job> runs; may be repeated", repeated)
    .option("--apart <workload>", "rather not where it runs; may be repeated", repeated)
    .option("--toleration <taint>", "taint that is tolerated; may be repeated", repeated)
    .option("--spread <label>", "copies evenly over the values of a label")
    .option("--max-skew <count>", "with --spread: by how many copies values may differ at most", positiveInteger)
    .option("--distinct-nodes", "no two copies on one node")
    .option("--priority <number>", "-100 to 100", decimal);
}

/** Whether any of the options was given. */
export function asksForSomething(options: DemandOptions): boolean {
  return Object.values(jobFields(options)).some((value) => value !== undefined);
}

/**
 * The demand that options describe, in the language of pipeline files.
 *
 * @throws KedgeError INVALID_OPTION, naming the option at fault.
 */
export function compileDemand(options: DemandOptions): DemandSpec {
  if (options.maxSkew !== undefined && options.spread === undefined) {
    throw new KedgeError("INVALID_OPTION", "--max-skew needs the label to spread over", { field: "--spread" });
  }
  const { resources, placement, priority } = compileJob(jobFields(options), (field) => optionOf(field));
  const runtimes = { docker: RuntimeKind.DOCKER, process: RuntimeKind.PROCESS };
  const runtime = options.runtime === undefined ? RuntimeKind.UNSPECIFIED : runtimes[options.runtime];
  return { ...(resources && { resources }), ...(placement && { placement }), priority, runtime };
}

/**
 * Compiles fields of a job of a pipeline file; JSON is YAML.
 *
 * @throws KedgeError INVALID_OPTION with the first finding; `nameOf` turns a path within the job into words.
 */
export function compileJob(fields: object, nameOf: (field: string) => string): JobSpec {
  const source = JSON.stringify({ name: "plan", jobs: { demand: { ...fields, steps: [{ run: "true" }] } } });
  const { spec, diagnostics } = compilePipeline(source);
  const error = diagnostics.find(({ severity }) => severity === Diagnostic_Severity.ERROR);
  const [job] = spec?.jobs ?? [];
  if (error === undefined && job !== undefined) return job;
  const field = nameOf((error?.field ?? "").replace("jobs.demand.", ""));
  const hint = error?.hint ? { hint: error.hint } : {};
  throw new KedgeError("INVALID_OPTION", `${field}: ${error?.message ?? "not understood"}`, { field, ...hint });
}

function optionOf(field: string): string {
  const known = Object.keys(OPTION_OF).filter((key) => field === key || /^[.[]/.test(field.slice(key.length)));
  const longest = known.filter((key) => field.startsWith(key)).sort((a, b) => b.length - a.length)[0];
  return longest === undefined ? field : (OPTION_OF[longest] ?? field);
}

function jobFields(options: DemandOptions) {
  const { cpu, memory, disk, gpu: count, gpuShare: share, gpuMemory, gpuModel: model } = options;
  const gpu = defined({ count, share, memory: gpuMemory, model });
  const custom = options.custom && Object.fromEntries(Object.entries(options.custom).map(([k, v]) => [k, Number(v)]));
  const { spread: over, maxSkew } = options;
  return {
    resources: defined({ cpu, memory, disk, gpu, custom }),
    "runs-on": options.on,
    require: options.require,
    prefer: options.prefer,
    near: options.near,
    apart: options.apart,
    tolerations: options.toleration,
    spread: maxSkew === undefined ? over : { over, "max-skew": maxSkew },
    "distinct-nodes": options.distinctNodes,
    priority: options.priority,
  };
}

/** The record without what is not given; undefined when nothing is. */
function defined(record: Readonly<Record<string, unknown>>): object | undefined {
  const entries = Object.entries(record).filter(([, value]) => value !== undefined);
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

function decimal(text: string): number {
  if (!/^-?\d+(\.\d+)?$/.test(text)) throw new InvalidArgumentError("Expected a number.");
  return Number(text);
}
