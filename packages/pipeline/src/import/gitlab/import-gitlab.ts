import { readYaml } from "../../yaml-text.ts";
import {
  asList,
  asPlain,
  asTexts,
  ImportDraft,
  isPlain,
  literal,
  nameOf,
  namesOf,
  numberOf,
  type Plain,
  portStep,
  textOf,
} from "../draft.ts";
import type { ImportResult } from "../import-report.ts";
import { imageOf } from "./images.ts";
import { inheritedJobs, scriptLines } from "./inherit.ts";
import { translateRules } from "./rules.ts";
import { expandVariables, predefinedVariables, variablesOf } from "./variables.ts";

const STAGES = [".pre", "build", "test", "deploy", ".post"];
const RETRY_ON: Readonly<Record<string, string>> = {
  runner_system_failure: "infrastructure",
  stuck_or_timeout_failure: "timeout",
  job_execution_timeout: "timeout",
  script_failure: "exit-code",
  runner_unsupported: "infrastructure",
  scheduler_failure: "infrastructure",
  data_integrity_failure: "infrastructure",
};

/** Of a matrix; a pipeline has no more jobs. */
const MAX_ROWS = 1000;

interface Context {
  readonly draft: ImportDraft;
  readonly root: Plain;
  readonly names: ReadonlyMap<string, string>;
  readonly bodies: ReadonlyMap<string, Plain>;
  readonly variables: ReadonlyMap<string, string>;
}

/** A `.gitlab-ci.yml` as a pipeline. Never throws. */
export function importGitlabFile(source: string): ImportResult {
  // A tag of GitLab's own becomes a mapping of the same length, so that places stay.
  const readable = source.replaceAll(/!reference \[([^\]\n]*)\]/g, (_, path: string) => `{"!reference":[${path}]}`);
  const yaml = readYaml(readable, (path) => path.includes("variables") || path.includes("matrix"));
  if (!isPlain(yaml.value)) {
    const found = yaml.findings[0];
    const place = yaml.positions.lineAndColumn(found?.offset ?? 0);
    return { notes: [], errors: [{ ...place, message: found?.message ?? "the file must be a mapping" }] };
  }
  const root = yaml.value;
  const draft = new ImportDraft(yaml.positions);
  const { jobs: bodies, problems } = inheritedJobs(root);
  for (const { job, message } of problems) draft.unsupported([job, "extends"], message);
  if (bodies.size === 0) return { notes: [], errors: [{ line: 1, column: 1, message: "the file has no jobs" }] };
  if (root["include"] !== undefined)
    draft.unsupported(["include"], "included files are not read: import them as well, or put them in");
  const variables = variablesOf(root["variables"]);
  const context: Context = {
    draft,
    root,
    names: namesOf([...bodies.keys()]),
    bodies,
    variables: new Map(Object.entries(variables)),
  };
  const stages = asTexts(root["stages"] ?? STAGES).filter((stage) =>
    [...bodies.values()].some((body) => stageOf(body) === stage),
  );
  const jobs: Record<string, Plain> = {};
  for (const [key, body] of bodies) Object.assign(jobs, translateJob(key, body, context));
  const env = Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [name, expandVariables(literal(value), new Map()).text]),
  );
  return draft.finish(
    {
      name: "gitlab-pipeline",
      on: { push: {}, "pull-request": usesMergeRequests(source) ? {} : undefined, tag: ["**"] },
      env: { ...predefinedVariables(source), ...env },
      stages: stages.map((stage) => nameOf(stage, "stage")),
      jobs,
    },
    "Made from a .gitlab-ci.yml by kedge import; see its report.",
  );
}

function translateJob(key: string, body: Plain, context: Context): Record<string, Plain> {
  const { draft, names } = context;
  const name = names.get(key) ?? key;
  const rules = translateRules(body);
  for (const problem of rules.problems)
    draft.unsupported([key, "rules"], `the job fails until this is ported: ${problem}`);
  const isNever = rules.isNever ? { when: { values: [{ value: "never", equals: ["run"] }] } } : {};
  const outline = {
    stage: nameOf(stageOf(body), "stage"),
    needs: needsOf(key, body, context),
    ...(rules.when === undefined ? {} : { when: rules.when }),
    ...isNever,
  };
  const ported = rules.problems.map((problem) => portStep(`rules: ${problem}`, "rules"));
  const work = ported.length > 0 ? withSteps(workOf(key, body, context), ported) : workOf(key, body, context);
  const manual = rules.isManual ? `${name.slice(0, 55)}-approve` : undefined;
  if (manual === undefined)
    return {
      [name]: { ...outline, "run-if": rules.runIf, ...work, "allow-failure": allows(body, rules.allowsFailure) },
    };
  draft.approximate([key, "when"], `waits for the approval ${manual}, and so do the jobs that need it`);
  const before = { ...outline, approval: { message: `Run ${name}?`, timeout: "7d" } };
  return {
    [manual]: before,
    [name]: { ...outline, needs: [manual, ...asList(outline.needs)], ...work, "allow-failure": allows(body, true) },
  };
}

/** With steps in front; in place of what is no steps. */
function withSteps(work: Plain, first: readonly Plain[]): Plain {
  return Array.isArray(work["steps"]) ? { ...work, steps: [...first, ...work["steps"]] } : { steps: [...first] };
}

function allows(body: Plain, byRule: boolean): boolean | undefined {
  const own = body["allow_failure"];
  return own === true || isPlain(own) || (own === undefined && byRule) ? true : undefined;
}

function workOf(key: string, body: Plain, context: Context): Plain {
  const { draft, root } = context;
  if (body["trigger"] !== undefined) return callOf(key, body["trigger"], draft);
  const lines = [...scriptLines(body["before_script"], root), ...scriptLines(body["script"] ?? body["run"], root)];
  const after = scriptLines(body["after_script"], root);
  draft.exact([key], "job");
  return {
    ...imageOf(key, body, context),
    ...filesOf(key, body, context),
    ...placeOf(key, body, draft),
    ...retryOf(key, body, draft),
    ...matrixOf(key, body, draft),
    timeout: timeoutOf(body["timeout"]),
    environment: environmentOf(body["environment"]),
    concurrency:
      body["resource_group"] === undefined ? undefined : nameOf(textOf(body["resource_group"]), "group").slice(0, 40),
    env: envOf(body),
    steps: ["checkout", { run: script(lines) }],
    post: after.length > 0 ? { always: [{ run: script(after) }] } : undefined,
  };
}

/** GitLab runs the lines one after the other in one shell, which ends with the first that fails. */
function script(lines: readonly string[]): string {
  return ["set +u", ...(lines.length === 0 ? ["true"] : lines)].map(literal).join("\n");
}

function envOf(body: Plain): Record<string, string> {
  const own = Object.entries(variablesOf(body["variables"]));
  return Object.fromEntries(own.map(([name, value]) => [name, expandVariables(literal(value), new Map()).text]));
}

function needsOf(key: string, body: Plain, { draft, names, bodies }: Context): (string | Plain)[] | undefined {
  if (body["needs"] === undefined && body["dependencies"] === undefined) return undefined;
  if (body["needs"] === undefined) return undefined;
  return asList(body["needs"]).flatMap((need): (string | Plain)[] => {
    const fields: Plain = isPlain(need) ? need : { job: need };
    const job = textOf(fields["job"] ?? "");
    const name = names.get(job);
    if (name === undefined || !bodies.has(job)) {
      if (fields["optional"] !== true)
        draft.unsupported([key, "needs"], `${job || "a job of another pipeline"} is not in this file`);
      return [];
    }
    return fields["optional"] === true ? [{ job: name, optional: true }] : [name];
  });
}

function filesOf(key: string, body: Plain, context: Context): Plain {
  const artifacts = artifactsOf(key, body, context.draft);
  return { artifacts, cache: cachesOf(key, body, context.draft), inputs: inputsOf(body, context) };
}

function artifactsOf(key: string, body: Plain, draft: ImportDraft): Plain[] {
  const fields = asPlain(body["artifacts"]);
  const on = { on_failure: "failure", always: "always" }[textOf(fields["when"])];
  const expire = spanOf(fields["expire_in"]);
  const common = { ...(on === undefined ? {} : { on }), ...(expire === undefined ? {} : { expire }) };
  const paths = [
    ...asTexts(fields["paths"]).flatMap(globs),
    ...asTexts(fields["exclude"])
      .flatMap(globs)
      .map((path) => `!${path}`),
  ];
  const inside = paths.filter((path) => !/^!?[/~]|\.\.|\$/.test(path));
  if (inside.length < paths.length)
    draft.approximate([key, "artifacts"], "paths outside of the workspace, or with variables, are left out");
  else if (body["artifacts"] !== undefined) draft.exact([key, "artifacts"], "artifacts");
  const reports = Object.entries(asPlain(fields["reports"])).flatMap(([kind, value]) =>
    reportOf(key, { kind, value, common }, draft),
  );
  return [...(inside.length > 0 ? [{ name: "files", paths: inside, ...common }] : []), ...reports];
}

function reportOf(
  key: string,
  { kind, value, common }: { kind: string; value: unknown; common: Plain },
  draft: ImportDraft,
): Plain[] {
  const path = [key, "artifacts", "reports", kind];
  const files = asTexts(isPlain(value) ? value["path"] : value);
  if (kind === "junit") return [{ name: "junit", paths: files, report: "junit", ...common, on: "always" }];
  if (kind === "coverage_report")
    return [{ name: "coverage", paths: files, report: "cobertura", ...common, on: "always" }];
  if (kind === "dotenv")
    draft.unsupported(path, "write the values to the file that outputs: of the step names, and use jobs.<job>.outputs");
  else draft.approximate(path, "kept as an artifact, not looked into");
  return files.length === 0 || kind === "dotenv" ? [] : [{ name: nameOf(kind, "report"), paths: files, ...common }];
}

/** A folder is everything in it. */
function globs(path: string): string[] {
  const plain = path.replace(/^\.\//, "");
  if (plain.endsWith("/")) return [`${plain}**`];
  return /[*?.[]/.test(plain.split("/").at(-1) ?? "") ? [plain] : [plain, `${plain}/**`];
}

function cachesOf(key: string, body: Plain, draft: ImportDraft): Plain[] {
  return asList(body["cache"]).flatMap((cache): Plain[] => {
    const fields = asPlain(cache);
    const paths = asTexts(fields["paths"])
      .map((path) => path.replace(/^\.\//, "").replace(/\/$/, ""))
      .filter((path) => !/^[/~]|\.\.|\$|\*/.test(path));
    if (paths.length === 0) return [];
    draft.exact([key, "cache"], "cache");
    return [{ key: cacheKey(fields["key"]), paths, "read-only": fields["policy"] === "pull" ? true : undefined }];
  });
}

function cacheKey(key: unknown): string {
  if (isPlain(key)) {
    const files = asTexts(key["files"]).map((file) => `'${file}'`);
    const prefix = key["prefix"] === undefined ? "" : `${expandVariables(textOf(key["prefix"]), new Map()).text}-`;
    return files.length > 0 ? `${prefix}\${{ hash(${files.join(", ")}) }}` : `${prefix}files`;
  }
  return key === undefined ? "default" : expandVariables(textOf(key), new Map()).text;
}

/** Without `dependencies` and `needs`, GitLab gives a job the artifacts of all stages before. */
function inputsOf(body: Plain, { names, bodies, root }: Context): string[] {
  const order = asTexts(root["stages"] ?? STAGES);
  const stage = order.indexOf(stageOf(body));
  const needed = asList(body["needs"]).flatMap((need) =>
    isPlain(need) && need["artifacts"] === false ? [] : [textOf(isPlain(need) ? need["job"] : need)],
  );
  const previous = order
    .slice(0, Math.max(0, stage))
    .findLast((it) => [...bodies.values()].some((other) => stageOf(other) === it));
  const before = [...bodies].filter(([, other]) => stageOf(other) === previous).map(([job]) => job);
  const listed = body["dependencies"] === undefined ? undefined : asTexts(body["dependencies"]);
  const from = body["needs"] === undefined ? before.filter((job) => listed?.includes(job) ?? true) : needed;
  return from.flatMap((job) => {
    const fields = asPlain(asPlain(bodies.get(job))["artifacts"]);
    const leaves = asTexts(fields["paths"]).some((path) => !/^[/~]|\.\.|\$/.test(path));
    return leaves ? (names.get(job) ?? []) : [];
  });
}

function placeOf(key: string, body: Plain, draft: ImportDraft): Plain {
  const tags = asTexts(body["tags"]).filter((tag) => /^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/.test(tag));
  if (tags.length > 0) draft.approximate([key, "tags"], `nodes must carry ${tags.join(", ")} as labels`);
  return tags.length > 0 ? { require: tags } : {};
}

function retryOf(key: string, body: Plain, draft: ImportDraft): Plain {
  const { retry } = body;
  if (retry === undefined) return {};
  const fields: Plain = isPlain(retry) ? retry : { max: retry };
  const attempts = Math.min(20, 1 + Math.max(0, Math.trunc(numberOf(fields["max"]) || 0)));
  const kinds = asTexts(fields["when"])
    .map((kind) => RETRY_ON[kind])
    .filter((kind) => kind !== undefined);
  const on = kinds.length > 0 ? [...new Set(kinds)] : ["infrastructure", "lost-agent", "exit-code", "timeout"];
  draft.exact([key, "retry"], "retry");
  return { retry: { attempts, rules: [{ on }] } };
}

function matrixOf(key: string, body: Plain, draft: ImportDraft): Plain {
  const { parallel } = body;
  if (parallel === undefined) return {};
  const rows = isPlain(parallel) ? asList(parallel["matrix"]).map(asPlain) : [];
  if (!isPlain(parallel)) {
    const count = Math.min(200, Math.max(1, numberOf(parallel) || 1));
    draft.exact([key, "parallel"], "matrix");
    return { matrix: { CI_NODE_INDEX: Array.from({ length: count }, (_, i) => textOf(i + 1)) } };
  }
  draft.exact([key, "parallel"], "matrix; its values are variables of the steps as well");
  const include = rows.flatMap((row) => product(Object.entries(row)));
  return { matrix: { include } };
}

function product(axes: readonly [string, unknown][]): Record<string, string>[] {
  return axes.reduce<Record<string, string>[]>(
    (rows, [axis, values]) =>
      rows
        .flatMap((row) =>
          asTexts(values)
            .slice(0, MAX_ROWS)
            .map((value) => ({ ...row, [axis]: value })),
        )
        .slice(0, MAX_ROWS),
    [{}],
  );
}

function callOf(key: string, trigger: unknown, draft: ImportDraft): Plain {
  const fields: Plain = isPlain(trigger) ? trigger : { project: trigger };
  const target = textOf(fields["project"] ?? asTexts(fields["include"])[0] ?? key);
  const pipeline = nameOf(target.replace(/\.ya?ml$/, "").replaceAll("/", "-"), "called")
    .slice(0, 40)
    .replace(/-+$/, "");
  draft.approximate([key, "trigger"], `calls the pipeline ${pipeline}: import and apply it under this name`);
  return { call: { pipeline, detach: fields["strategy"] === "depend" ? undefined : true } };
}

function environmentOf(environment: unknown): string | undefined {
  const name = isPlain(environment) ? environment["name"] : environment;
  return typeof name === "string" ? nameOf(name.replaceAll(/\$\{?\w+\}?/g, ""), "environment") : undefined;
}

function stageOf(body: Plain): string {
  return textOf(body["stage"] ?? "test");
}

function usesMergeRequests(source: string): boolean {
  return /merge_request/.test(source);
}

/** "1 day", "2 hrs 30 min", "90" (seconds) as a span; undefined when it is none. */
function spanOf(value: unknown): string | undefined {
  if (value === undefined || value === "never") return undefined;
  const units: readonly [RegExp, number][] = [
    [/(\d+)\s*(?:y|yr|year)/, 31_536_000],
    [/(\d+)\s*(?:mo|month)/, 2_592_000],
    [/(\d+)\s*(?:w|week)/, 604_800],
    [/(\d+)\s*d/, 86_400],
    [/(\d+)\s*h/, 3600],
    [/(\d+)\s*m(?!o)/, 60],
    [/(\d+)\s*s/, 1],
  ];
  const text = textOf(value);
  const seconds = /^\d+$/.test(text)
    ? Number(text)
    : units.reduce((sum, [unit, size]) => sum + Number(unit.exec(text)?.[1] ?? 0) * size, 0);
  return seconds > 0 ? `${seconds}s` : undefined;
}

function timeoutOf(value: unknown): string {
  return spanOf(value) ?? "1h";
}
