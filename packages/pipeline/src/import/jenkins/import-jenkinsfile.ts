import { Diagnostic_Severity } from "@kedge/proto";
import { stringify } from "yaml";
import { lintPipeline } from "../../pipeline-compile.ts";
import { nameOf } from "../draft.ts";
import type { ImportResult } from "../import-report.ts";
import { duration } from "./convert/arguments.ts";
import type { PipelineDraft } from "./convert/draft.ts";
import { convertEnvironment } from "./convert/environment.ts";
import type { Job } from "./convert/job.ts";
import { Layout } from "./convert/layout.ts";
import { addJobPost, OUTCOMES, UNKNOWN_OUTCOMES } from "./convert/post.ts";
import { Report } from "./convert/report.ts";
import { BUILT_IN, run, Scope } from "./convert/scope.ts";
import { convertSteps } from "./convert/steps.ts";
import { convertOptions, convertParameters, convertTriggers } from "./convert/triggers.ts";
import type { Pipeline } from "./model/model.ts";
import { readJenkinsfile } from "./parse-jenkinsfile.ts";

/**
 * A declarative Jenkinsfile as a pipeline of this language, with a note of what became of each construct. What cannot
 * be said becomes a step that fails and shows what to port. Never throws; the source it gives compiles.
 */
export function importJenkinsfile(source: string, name = "jenkins"): ImportResult {
  const { pipeline, outside = [], errors, places } = readJenkinsfile(source);
  if (pipeline === undefined) return { notes: [], errors };
  const report = new Report(places);
  for (const at of outside)
    report.unsupported(at, "Groovy outside of pipeline", "not run: port what the pipeline needs of it");
  const draft = convertPipeline(pipeline, { source, report, name: nameOf(name, "jenkins", 40) });
  const text = stringify(draft, { lineWidth: 0, aliasDuplicateObjects: false });
  const wrong = lintPipeline(text).filter((it) => it.severity === Diagnostic_Severity.ERROR);
  if (wrong.length === 0) return { source: text, notes: report.list(), errors: [] };
  const found = wrong.map(({ field, message }) => ({
    ...places.of(pipeline.at),
    message: `it does not fit into a pipeline of Kedge: ${field}: ${message}`,
  }));
  return { notes: report.list(), errors: found };
}

interface Conversion {
  readonly source: string;
  readonly report: Report;
  readonly name: string;
}

function convertPipeline(pipeline: Pipeline, { source, report, name }: Conversion): PipelineDraft {
  const { triggers, options, tools, libraries = [] } = pipeline;
  const on = convertTriggers(triggers, report);
  const chosen = convertOptions(options, report);
  const parameters = convertParameters(pipeline.parameters, report);
  if (tools !== undefined)
    report.approximate(tools.at, "tools", "not installed: use an image that has them, or nodes with a label for it");
  for (const { at } of libraries)
    report.unsupported(at, "libraries", "shared libraries are Groovy: port what is used of them");
  const plain = Object.entries(parameters).filter(([, body]) => body["type"] !== "secret");
  const values = new Map(plain.map(([key]) => [key, `\${{ parameters.${key} }}`]));
  const { env, scope, give } = convertEnvironment(pipeline.environment, new Scope(undefined, values), {
    report,
    source,
  });
  const layout = new Layout(source, report);
  const secrets = Object.keys(parameters).filter((key) => !values.has(key));
  layout.run(pipeline.stages ?? [], pipeline.agent, {
    scope,
    env: {},
    give: [
      give,
      (job) => {
        for (const key of secrets) job.addSecretParameter(key);
      },
    ],
    options: { ...chosen },
  });
  if (pipeline.post !== undefined) addPost(pipeline.post, { layout, scope, report });
  return {
    name,
    ...(on === undefined ? {} : { on }),
    ...(chosen.runs === undefined ? {} : { runs: { group: `${name}-${run("branch")}`, ...chosen.runs } }),
    ...(chosen.timeoutSeconds === undefined ? {} : { timeout: duration(chosen.timeoutSeconds) }),
    ...(Object.keys(parameters).length === 0 ? {} : { parameters }),
    ...environment({ ...usedBuiltIns(source), ...Object.fromEntries(values), ...env }),
    jobs: jobsOf(layout),
  };
}

function environment(env: Record<string, string>): Pick<PipelineDraft, "env"> {
  return Object.keys(env).length === 0 ? {} : { env };
}

/** Jenkins gives these to every step; here only those that the file names. */
function usedBuiltIns(source: string): Record<string, string> {
  return Object.fromEntries(Object.entries(BUILT_IN).filter(([name]) => new RegExp(`\\b${name}\\b`).test(source)));
}

function jobsOf({ jobs }: Layout): PipelineDraft["jobs"] {
  const all: PipelineDraft["jobs"] = Object.fromEntries([...jobs].map(([name, job]) => [name, job.finish()]));
  return Object.keys(all).length > 0 ? all : { nothing: { steps: [{ run: "true" }] } };
}

interface PipelinePost {
  readonly layout: Layout;
  readonly scope: Scope;
  readonly report: Report;
}

/** What a pipeline does at its end: post steps of its one job, or jobs that wait for all others. */
function addPost(post: NonNullable<Pipeline["post"]>, { layout, scope, report }: PipelinePost): void {
  const before = [...layout.jobs.values()];
  const [only] = before;
  if (before.length === 1 && only !== undefined && only.draft.matrix === undefined) {
    addJobPost(post, { job: only, context: layout.context(only, scope) }, report);
    return;
  }
  const needs = before.map(({ name }) => ({ job: name, optional: true as const }));
  for (const { condition, branch, at } of post.conditions) {
    const outcome = OUTCOMES[condition];
    if (outcome === undefined) {
      report.unsupported(at, `post { ${condition} }`, UNKNOWN_OUTCOMES[condition] ?? "there is nothing like it");
      continue;
    }
    const job = layout.addJob(`post-${condition}`, { needs, ...(outcome === "success" ? {} : { "run-if": outcome }) });
    report.approximate(at, `post { ${condition} }`, `the job ${job.name}, in a workspace of its own`);
    job.addSteps(condition, convertSteps(branch.steps, layout.context(job, scope)));
    shareFiles(job, before);
  }
}

/** Files that a pipeline keeps at its end are in the workspaces of the jobs before. */
function shareFiles(job: Job, before: readonly Job[]): void {
  for (const { required: _, ...artifact } of job.artifacts) {
    for (const other of before) {
      if (other.draft.approval === undefined && other.draft.call === undefined)
        other.addArtifact({ ...artifact, on: "always" });
    }
  }
}
