import type { PlacedReference } from "./bind.ts";
import { type Finding, nearHint, type Path, quote } from "./finding.ts";
import { ancestors, type JobGraph } from "./graph.ts";

/** Checks that every late-bound expression is known when its job starts, and is not pasted into a shell script. */
export function referenceFindings(references: readonly PlacedReference[], graph: JobGraph): Finding[] {
  const before = new Map<string, ReadonlySet<string>>();
  return references.flatMap((placed) => {
    const job = placed.path[0] === "jobs" ? String(placed.path[1]) : undefined;
    if (job !== undefined && !before.has(job)) before.set(job, ancestors(graph, job));
    const wrong = jobFinding(placed, graph, job === undefined ? undefined : before.get(job));
    return wrong === undefined ? scriptFindings(placed) : [wrong];
  });
}

function jobFinding(
  { path, reference }: PlacedReference,
  graph: JobGraph,
  before: ReadonlySet<string> | undefined,
): Finding | undefined {
  if (reference.kind === "hash")
    return isCacheKey(path) ? undefined : { path, message: "hash(...) is for the key of a cache" };
  if (reference.kind === "run") {
    const isList = reference.field === "changed" && path[2] !== "when";
    return isList ? { path, message: "run.changed is for conditions under when" } : undefined;
  }
  const { job, table } = reference;
  if (!graph.has(job))
    return { path, message: `no job is called ${quote(job)}`, hint: () => nearHint(job, graph.keys()) };
  if (before === undefined) return { path, message: `${table} of a job can be used inside of jobs only` };
  if (before.has(job)) return undefined;
  const owner =
    path[1] === job
      ? "a job cannot use its own"
      : `${quote(path[1])} does not wait for ${quote(job)}; it cannot use its`;
  return { path, message: `${owner} ${table}`, ...(path[1] === job ? {} : { hint: `add ${job} to needs` }) };
}

/** Branch names and outputs are written by strangers; in a script they would be run, not read. */
function scriptFindings({ path, reference }: PlacedReference): Finding[] {
  if (reference.kind === "hash" || !isScript(path)) return [];
  const harmless = reference.kind === "run" ? HARMLESS.has(reference.field) : reference.table === "metrics";
  if (harmless) return [];
  const what = reference.kind === "run" ? `run.${reference.field}` : `jobs.${reference.job}.outputs.${reference.key}`;
  const hint = `set it in env, e.g. VALUE: \${{ ${what} }}, and write "$VALUE" in the script`;
  return [{ path, warning: true, message: `${what} becomes part of the script, and may hold commands`, hint }];
}

/** Fields of a run that nobody outside chooses. */
const HARMLESS: ReadonlySet<string> = new Set(["id", "pipeline", "commit", "event", "pull_request"]);

function isCacheKey(path: Path): boolean {
  return path[2] === "cache" && (path[4] === "key" || path[4] === "restore-keys");
}

function isScript(path: Path): boolean {
  const key = path.at(-1);
  return key === "run" || (key === "script" && path.at(-2) === "run");
}
