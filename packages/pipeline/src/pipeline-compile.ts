import { create } from "@bufbuild/protobuf";
import {
  type Diagnostic,
  Diagnostic_Severity,
  type JobSpec,
  type Parameter,
  ParameterType,
  type PipelineSpec,
  PipelineSpecSchema,
} from "@kedge/proto";
import type { z } from "zod";
import { type BoundTree, bindTree } from "./bind.ts";
import { concurrencyFindings, groupsOf } from "./concurrency.ts";
import { deadlineFindings } from "./deadlines.ts";
import { type Component, parseComponent } from "./expand/component.ts";
import { type Expanded, expand } from "./expand/expand.ts";
import { type Finding, formatPath, nearHint, quote, toDiagnostics } from "./finding.ts";
import { type Surroundings, wholeOf } from "./fragment.ts";
import { gangFindings } from "./gangs.ts";
import { gateFindings } from "./gates.ts";
import { graphFindings, type JobGraph, readGraph, topologicalOrder } from "./graph.ts";
import { compileJob } from "./job.ts";
import { jobFileFindings } from "./job-file-findings.ts";
import { LIMITS } from "./limits.ts";
import { neighbourFindings } from "./neighbours.ts";
import { bindParameters, declaredParameters } from "./parameters.ts";
import { type Pipeline, pipelineSchema } from "./pipeline-schema.ts";
import { referenceFindings } from "./references.ts";
import { knownKeys, scalarAsText, schemaFindings, valueAt } from "./schema-findings.ts";
import { isTextField } from "./text-fields.ts";
import { readYaml } from "./yaml-text.ts";

const DEFAULT_TIMEOUT_SECONDS = 3600;

/** What a compile needs beside the text. */
export interface CompileOptions {
  /** Values given for the run, as text; parsed by the type that the pipeline declares. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Name used in diagnostics; default kedge.yaml. */
  readonly file?: string;
  /** Sources of components by "<name>@sha256:<digest>", as the file names them. */
  readonly components?: ReadonlyMap<string, string>;
}

/** The compiled pipeline, absent when any diagnostic is an error, and everything found, sorted by position. */
export interface CompileResult {
  readonly spec?: PipelineSpec;
  readonly diagnostics: Diagnostic[];
}

/**
 * Checks a pipeline file without values for its parameters: nothing is said to be missing, and what depends on a
 * value that is not known is not judged. Never throws. `file` is the name used in diagnostics; `components` are as in
 * `compilePipeline`, absent when nobody looked them up.
 */
export function lintPipeline(
  source: string,
  file = "kedge.yaml",
  components?: CompileOptions["components"],
): Diagnostic[] {
  const known = components === undefined ? undefined : readComponents(components);
  return analyse(source, { file, given: undefined, components: known }).diagnostics;
}

/** Compiles a pipeline file with the parameters of one run. Never throws; calling it again gives the same. */
export function compilePipeline(source: string, options: CompileOptions = {}): CompileResult {
  const { file = "kedge.yaml", parameters: given = {}, components = new Map() } = options;
  return analyse(source, { file, given, components: readComponents(components) });
}

/** What starts runs of a pipeline, absent when the file has errors. */
export interface TriggersResult {
  readonly pipeline?: Pick<PipelineSpec, "name" | "triggers">;
  readonly diagnostics: Diagnostic[];
}

/** Reads what starts runs of a pipeline, without values for its parameters. Never throws. */
export function pipelineTriggers(source: string, file = "kedge.yaml"): TriggersResult {
  const diagnostics = lintPipeline(source, file);
  if (diagnostics.some(({ severity }) => severity === Diagnostic_Severity.ERROR)) return { diagnostics };
  // The rest of the file may depend on values that are not known.
  const { value } = readYaml(source, isTextField);
  const { bound } = bindParameters(declaredParameters(valueAt(value, ["parameters"])), undefined);
  const head = { name: valueAt(value, ["name"]), on: valueAt(value, ["on"]) };
  const tree = bindTree(head, { mode: "pipeline", parameters: bound, cells: new Map() });
  const parsed = pipelineSchema.pick({ name: true, on: true }).safeParse(tree.value);
  const { name = "", on: triggers = [] } = parsed.data ?? {};
  return { pipeline: { name, triggers }, diagnostics };
}

/** The run that jobs are added to. */
export interface FragmentOptions extends Pick<CompileOptions, "file" | "components"> {
  /** Name of its pipeline. */
  readonly pipeline: string;
  /** The jobs that it has: those that are added may need them, and must not be called like them. */
  readonly jobs: readonly JobSpec[];
}

/**
 * Compiles `jobs:` that are added to a run while it goes on; the spec has only those, each after its needs. Nothing but
 * jobs may be in the file, and it knows no parameters. Never throws.
 */
export function compileFragment(source: string, options: FragmentOptions): CompileResult {
  const { file = "jobs.yaml", components = new Map() } = options;
  const { spec, diagnostics } = analyse(source, {
    file,
    given: {},
    components: readComponents(components),
    around: options,
  });
  if (spec === undefined) return { diagnostics };
  const known = new Set(options.jobs.map(({ name }) => name));
  spec.jobs = spec.jobs.filter(({ name }) => !known.has(name));
  return { spec, diagnostics };
}

/** The components that a file asks for, "<name>@sha256:<digest>" each, as far as they can be told. Never throws. */
export function usedComponents(source: string): string[] {
  return [...new Set(source.match(/[a-z0-9-]{1,40}@sha256:[0-9a-f]{64}/g) ?? [])].slice(0, LIMITS.components);
}

function readComponents(sources: ReadonlyMap<string, string>): ReadonlyMap<string, Component> {
  return new Map(
    [...sources].flatMap(([key, source]): [string, Component][] => {
      const { component } = parseComponent(source);
      return component === undefined ? [] : [[key, component]];
    }),
  );
}

interface AnalyseOptions {
  readonly file: string;
  readonly given: Readonly<Record<string, string>> | undefined;
  readonly components: ReadonlyMap<string, Component> | undefined;
  /** Set for a fragment. */
  readonly around?: Surroundings;
}

function analyse(source: string, { file, given, components, around }: AnalyseOptions): CompileResult {
  const yaml = readYaml(source, isTextField);
  if (yaml.value === undefined) return { diagnostics: toDiagnostics(yaml.findings, yaml.positions, file) };
  const whole = around === undefined ? { value: yaml.value, findings: [] } : wholeOf(yaml.value, around);
  const declared = declaredParameters(valueAt(whole.value, ["parameters"]));
  const parameters = bindParameters(declared, given);
  const expanded = expand(whole.value, { parameters: parameters.bound, components });
  const tree = bindTree(expanded.value, { mode: "pipeline", parameters: parameters.bound, cells: expanded.cells });
  const graph = readGraph(valueAt(tree.value, ["jobs"]));
  const early = [
    ...yaml.findings,
    ...whole.findings,
    ...parameters.findings,
    ...tree.findings,
    ...graphFindings(graph),
    ...referenceFindings(tree.references, graph),
    ...unusedFindings(declared, new Set([...tree.used, ...expanded.used]), tree.value),
  ];
  const parsed = pipelineSchema.safeParse(tree.value);
  const late = parsed.success ? jobFindings(parsed.data, graph, declared) : shapeFindings(parsed.error.issues, tree);
  const findings = inFile(expanded, [...early, ...late.filter(isNews(tree, early))]);
  const diagnostics = toDiagnostics(findings, yaml.positions, file);
  if (!parsed.success || findings.some((it) => it.warning !== true)) return { diagnostics };
  const { name, timeout: timeoutSeconds = DEFAULT_TIMEOUT_SECONDS, on: triggers = [], stages = [] } = parsed.data;
  const { runs: runConcurrency } = parsed.data;
  const jobs = compileJobs(parsed.data, graph, expanded);
  const fields = { name, parameters: declared, jobs, timeoutSeconds, triggers, stages };
  const spec = create(PipelineSpecSchema, { ...fields, ...(runConcurrency === undefined ? {} : { runConcurrency }) });
  return { spec, diagnostics };
}

/** The findings at their places in the file; of the combinations of a matrix, only the first that says something of a place. */
function inFile({ findings: written, origins }: Expanded, later: readonly Finding[]): Finding[] {
  const said = new Set<string>();
  const placed = [
    ...written.map((finding) => ({ finding, path: origins.ofJob(finding.path) })),
    ...later.map((finding) => ({ finding, path: origins.of(finding.path) })),
  ];
  return placed.flatMap(({ finding, path }) => {
    const place = formatPath(path);
    if (origins.isShared(finding.path) && said.has(place)) return [];
    said.add(place);
    return [{ ...finding, path }];
  });
}

function shapeFindings(issues: readonly z.core.$ZodIssue[], tree: BoundTree): Finding[] {
  return schemaFindings(issues, tree.value, (path) => knownKeys(pipelineSchema, path));
}

/** What is wrong between jobs that are sound by themselves. */
function jobFindings(pipeline: Pipeline, graph: JobGraph, declared: readonly Parameter[]): Finding[] {
  return [
    ...jobFileFindings(pipeline, graph),
    ...secretFindings(pipeline, declared),
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

function compileJobs(pipeline: Pipeline, graph: JobGraph, { cells }: Expanded) {
  const { env = {}, jobs } = pipeline;
  const groups = groupsOf(pipeline);
  return topologicalOrder(graph).order.flatMap((name) => {
    const job = jobs[name];
    return job === undefined
      ? []
      : [compileJob(name, job, { env, concurrency: groups.get(name), cell: cells.get(name) })];
  });
}

/** Parameters that are nowhere filled in, and not given to a job as a secret. */
function unusedFindings(declared: readonly Parameter[], used: ReadonlySet<string>, root: unknown): Finding[] {
  const secrets = secretParameters(root);
  return declared
    .filter(({ name }) => !used.has(name) && !secrets.has(name))
    .map(({ name, type }) => ({
      path: ["parameters", name],
      atKey: true,
      warning: true,
      message: `the parameter ${quote(name)} is not used`,
      hint:
        type === ParameterType.SECRET
          ? `give it to a job: secrets: [{ parameter: ${name}, env: ... }]`
          : `use it as \${{ parameters.${name} }}`,
    }));
}

/** The parameters that jobs are given as secrets, in a file that may have other errors. */
function secretParameters(root: unknown): ReadonlySet<string> {
  const jobs: unknown[] = Object.values(Object(valueAt(root, ["jobs"])));
  const uses = jobs.flatMap((job): unknown[] => {
    const secrets = valueAt(job, ["secrets"]);
    return Array.isArray(secrets) ? secrets : [];
  });
  return new Set(uses.map((use) => scalarAsText(valueAt(use, ["parameter"]))));
}

/** A secret parameter is given to jobs as a secret, and nothing else is. */
function secretFindings({ jobs }: Pipeline, declared: readonly Parameter[]): Finding[] {
  const types = new Map(declared.map(({ name, type }) => [name, type]));
  return Object.entries(jobs).flatMap(([job, { secrets = [] }]) =>
    secrets.flatMap(({ secret }, i): Finding[] => {
      const name = /^parameters\.(.+)$/.exec(secret)?.[1];
      if (name === undefined || types.get(name) === ParameterType.SECRET) return [];
      const message = types.has(name)
        ? `the parameter ${quote(name)} is not of type secret`
        : `no parameter ${quote(name)} is declared`;
      return [{ path: ["jobs", job, "secrets", i, "parameter"], message, hint: () => nearHint(name, types.keys()) }];
    }),
  );
}
