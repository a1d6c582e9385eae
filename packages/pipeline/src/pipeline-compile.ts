import { create } from "@bufbuild/protobuf";
import { type Diagnostic, type Parameter, type PipelineSpec, PipelineSpecSchema } from "@kedge/proto";
import type { z } from "zod";
import { type BoundTree, bindTree } from "./bind.ts";
import { concurrencyFindings, groupsOf } from "./concurrency.ts";
import { deadlineFindings } from "./deadlines.ts";
import { type Finding, formatPath, quote, toDiagnostics } from "./finding.ts";
import { gangFindings } from "./gangs.ts";
import { gateFindings } from "./gates.ts";
import { graphFindings, type JobGraph, readGraph, topologicalOrder } from "./graph.ts";
import { compileJob } from "./job.ts";
import { neighbourFindings } from "./neighbours.ts";
import { bindParameters, declaredParameters } from "./parameters.ts";
import { type Pipeline, pipelineSchema } from "./pipeline-schema.ts";
import { referenceFindings } from "./references.ts";
import { knownKeys, schemaFindings, valueAt } from "./schema-findings.ts";
import { isTextField } from "./text-fields.ts";
import { readYaml } from "./yaml-text.ts";

const DEFAULT_TIMEOUT_SECONDS = 3600;

/** What a compile needs beside the text. */
export interface CompileOptions {
  /** Values given for the run, as text; parsed by the type that the pipeline declares. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Name used in diagnostics; default kedge.yaml. */
  readonly file?: string;
}

/** The compiled pipeline, absent when any diagnostic is an error, and everything found, sorted by position. */
export interface CompileResult {
  readonly spec?: PipelineSpec;
  readonly diagnostics: Diagnostic[];
}

/**
 * Checks a pipeline file without values for its parameters: nothing is said to be missing, and what depends on a
 * value that is not known is not judged. Never throws. `file` is the name used in diagnostics.
 */
export function lintPipeline(source: string, file = "kedge.yaml"): Diagnostic[] {
  return analyse(source, file, undefined).diagnostics;
}

/** Compiles a pipeline file with the parameters of one run. Never throws; calling it again gives the same. */
export function compilePipeline(source: string, options: CompileOptions = {}): CompileResult {
  return analyse(source, options.file ?? "kedge.yaml", options.parameters ?? {});
}

function analyse(source: string, file: string, given: Readonly<Record<string, string>> | undefined): CompileResult {
  const yaml = readYaml(source, isTextField);
  if (yaml.value === undefined) return { diagnostics: toDiagnostics(yaml.findings, yaml.positions, file) };
  const declared = declaredParameters(valueAt(yaml.value, ["parameters"]));
  const parameters = bindParameters(declared, given);
  const tree = bindTree(yaml.value, { mode: "pipeline", parameters: parameters.bound });
  const graph = readGraph(valueAt(tree.value, ["jobs"]));
  const early = [
    ...yaml.findings,
    ...parameters.findings,
    ...tree.findings,
    ...graphFindings(graph),
    ...referenceFindings(tree.references, graph),
    ...unusedFindings(declared, tree.used),
  ];
  const parsed = pipelineSchema.safeParse(tree.value);
  const late = parsed.success ? jobFindings(parsed.data, graph) : shapeFindings(parsed.error.issues, tree);
  const findings = [...early, ...late.filter(isNews(tree, early))];
  const diagnostics = toDiagnostics(findings, yaml.positions, file);
  if (!parsed.success || findings.some((it) => it.warning !== true)) return { diagnostics };
  const { name, timeout: timeoutSeconds = DEFAULT_TIMEOUT_SECONDS } = parsed.data;
  const jobs = compileJobs(parsed.data, graph);
  return { spec: create(PipelineSpecSchema, { name, parameters: declared, jobs, timeoutSeconds }), diagnostics };
}

function shapeFindings(issues: readonly z.core.$ZodIssue[], tree: BoundTree): Finding[] {
  return schemaFindings(issues, tree.value, (path) => knownKeys(pipelineSchema, path));
}

/** What is wrong between jobs that are sound by themselves. */
function jobFindings(pipeline: Pipeline, graph: JobGraph): Finding[] {
  return [
    ...gateFindings(pipeline.jobs, graph),
    ...gangFindings(pipeline, graph),
    ...concurrencyFindings(pipeline),
    ...deadlineFindings(pipeline, graph, pipeline.timeout ?? DEFAULT_TIMEOUT_SECONDS),
    ...neighbourFindings(pipeline),
  ];
}

/** Leaves out places where a value is not known or something was said already. */
function isNews(tree: BoundTree, early: readonly Finding[]): (finding: Finding) => boolean {
  const said = new Set(early.map((it) => formatPath(it.path)));
  return ({ path, others = [] }) =>
    !said.has(formatPath(path)) && ![path, ...others].some((it) => tree.unknown.has(formatPath(it)));
}

function compileJobs(pipeline: Pipeline, graph: JobGraph) {
  const { env = {}, jobs } = pipeline;
  const groups = groupsOf(pipeline);
  return topologicalOrder(graph).order.flatMap((name) => {
    const job = jobs[name];
    return job === undefined ? [] : [compileJob(name, job, { env, concurrency: groups.get(name) })];
  });
}

function unusedFindings(declared: readonly Parameter[], used: ReadonlySet<string>): Finding[] {
  return declared
    .filter(({ name }) => !used.has(name))
    .map(({ name }) => ({
      path: ["parameters", name],
      atKey: true,
      warning: true,
      message: `the parameter ${quote(name)} is not used`,
      hint: `use it as \${{ parameters.${name} }}`,
    }));
}
