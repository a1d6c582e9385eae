import { create, fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { KedgeError } from "@kedge/domain";
import { type JobSpec, JobSpecSchema } from "@kedge/proto";
import { hasExpression, parseReference, type RunField, type Token, tokenise } from "./expressions.ts";
import { isArgument } from "./fields.ts";
import { formatPath, type Path, quote } from "./finding.ts";

/** What an ended job reported. */
export interface JobResult {
  readonly outputs: Readonly<Record<string, string>>;
  readonly metrics: Readonly<Record<string, number>>;
}

/** What late-bound expressions are looked up in. */
export interface ResolveContext {
  /** Ended jobs by name. */
  readonly jobs: ReadonlyMap<string, JobResult>;
  /** `changed` has one path a line. */
  readonly run: Readonly<Record<RunField, string>>;
}

/** Fields that end up as arguments of programs or names in registries: what is filled in must not change their form. */
const ARGUMENTS: ReadonlySet<string | number> = new Set(["image", "repository", "ref", "target", "version", "filter"]);

/**
 * Fills the late-bound expressions of a job that is about to start, and turns `$${{` into `${{`. To be called once per
 * job: what it returns holds values, which may look like expressions. Values come from agents; one that would change
 * the form of an image, ref or version is refused.
 *
 * @throws KedgeError INVALID_PIPELINE when a job has not reported a value that is asked for, or the value is refused.
 */
export function resolveJob(spec: JobSpec, context: ResolveContext): JobSpec {
  // The condition was looked at before, and may ask for what a skipped job never reported.
  const { when: _, ...rest } = spec;
  const json = toJson(JobSpecSchema, create(JobSpecSchema, rest));
  return fromJson(JobSpecSchema, fill(json, ["jobs", spec.name], context));
}

/**
 * Fills the late-bound expressions of one text. `path` names its place in errors.
 *
 * @throws KedgeError INVALID_PIPELINE as `resolveJob` does.
 */
export function resolveText(source: string, path: Path, context: ResolveContext): string {
  return hasExpression(source) ? fillText(source, path, context) : source;
}

function fill(value: JsonValue, path: Path, context: ResolveContext): JsonValue {
  if (typeof value === "string") return resolveText(value, path, context);
  if (Array.isArray(value)) return value.map((item, i) => fill(item, [...path, i], context));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fill(item, [...path, key], context)]));
}

function fillText(source: string, path: Path, context: ResolveContext): string {
  const tokens = tokenise(source);
  const text = tokens
    .map((token) => {
      if (token.kind === "text") return token.text;
      return isHash(token) ? token.source : lookUp(token.kind === "lookup" ? token.name : "", path, context);
    })
    .join("");
  if (tokens.every((token) => token.kind === "text")) return text;
  if (text.includes("\0") || (isArgumentField(path) && !isArgument(text))) {
    throw invalid(path, `${quote(text)} cannot be used here`, "it must not be empty, hold blanks or begin with a dash");
  }
  return text;
}

/** Files are hashed where they are. */
function isHash(token: Token): boolean {
  return token.kind === "lookup" && parseReference(token.name)?.kind === "hash";
}

function isArgumentField(path: Path): boolean {
  const parent = path.at(-2) ?? "";
  if (parent === "env" || parent === "args") return false;
  return parent === "tags" || ARGUMENTS.has(path.at(-1) ?? "");
}

function lookUp(name: string, path: Path, { jobs, run }: ResolveContext): string {
  const reference = parseReference(name);
  if (reference === undefined) throw invalid(path, `nothing is called ${quote(name)}`);
  if (reference.kind === "run") return run[reference.field];
  if (reference.kind === "hash") throw invalid(path, "hash(...) belongs into the key of a cache");
  const { job, table, key } = reference;
  const values = jobs.get(job)?.[table];
  const value = values !== undefined && Object.hasOwn(values, key) ? values[key] : undefined;
  if (value !== undefined) return String(value);
  const reported = Object.keys(values ?? {}).slice(0, 20);
  const hint = reported.length > 0 ? `it reported ${reported.join(", ")}` : `it reported no ${table}`;
  throw invalid(path, `the job ${quote(job)} did not report ${table}.${key}`, hint);
}

function invalid(path: Path, problem: string, hint?: string): KedgeError {
  const field = formatPath(path);
  return new KedgeError("INVALID_PIPELINE", `${field}: ${problem}`, hint === undefined ? { field } : { field, hint });
}
