import { type Finding, nearHint, quote } from "./finding.ts";
import { LIMITS } from "./limits.ts";

/** Jobs in the order of the file, each with the jobs it needs. */
export type JobGraph = ReadonlyMap<string, readonly string[]>;

/** Reads the graph of a file that may still have other errors. */
export function readGraph(jobs: unknown): JobGraph {
  const graph = new Map<string, string[]>();
  if (typeof jobs !== "object" || jobs === null || Array.isArray(jobs)) return graph;
  for (const [job, body] of Object.entries(jobs)) {
    const needs: unknown = typeof body === "object" && body !== null ? Reflect.get(body, "needs") : undefined;
    graph.set(job, Array.isArray(needs) ? needs.map(neededName) : []);
  }
  return graph;
}

/** Empty for what is no need, and for an optional need of a job that is not there. */
function neededName(need: unknown): string {
  const name: unknown = typeof need === "object" && need !== null ? Reflect.get(need, "job") : need;
  return typeof name === "string" ? name : "";
}

/**
 * The jobs, each after what it needs, otherwise in the order of the file (Kahn 1962); and one cycle, when there is
 * any. Needs that name no job are ignored.
 */
export function topologicalOrder(graph: JobGraph): { readonly order: string[]; readonly cycle?: string[] } {
  const waiting = new Map<string, number>();
  const dependents = new Map<string, string[]>();
  for (const [job, needs] of graph) {
    const known = new Set(needs.filter((need) => graph.has(need)));
    waiting.set(job, known.size);
    for (const need of known) dependents.set(need, [...(dependents.get(need) ?? []), job]);
  }
  const order = [...graph.keys()].filter((job) => waiting.get(job) === 0);
  for (const done of order) {
    for (const job of dependents.get(done) ?? []) {
      const left = (waiting.get(job) ?? 0) - 1;
      waiting.set(job, left);
      if (left === 0) order.push(job);
    }
  }
  return order.length === graph.size ? { order } : { order, cycle: findCycle(graph, new Set(order)) };
}

/** Follows needs among the jobs that could not be ordered until one comes again. */
function findCycle(graph: JobGraph, ordered: ReadonlySet<string>): string[] {
  const way: string[] = [];
  let job = [...graph.keys()].find((name) => !ordered.has(name));
  while (job !== undefined && !way.includes(job)) {
    way.push(job);
    job = graph.get(job)?.find((need) => graph.has(need) && !ordered.has(need));
  }
  return job === undefined ? way : [...way.slice(way.indexOf(job)), job];
}

/** All jobs that have ended before a job starts. */
export function ancestors(graph: JobGraph, job: string): ReadonlySet<string> {
  const found = new Set<string>();
  const open = [...(graph.get(job) ?? [])];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (found.has(next)) continue;
    found.add(next);
    for (const need of graph.get(next) ?? []) if (!found.has(need)) open.push(need);
  }
  return found;
}

/** What is wrong with the graph: too many jobs, needs that name no job or come twice, a cycle. */
export function graphFindings(graph: JobGraph): Finding[] {
  if (graph.size > LIMITS.jobs) {
    return [
      { path: ["jobs"], atKey: true, message: `${graph.size} jobs are too many; at most ${LIMITS.jobs} are run` },
    ];
  }
  const findings: Finding[] = [];
  for (const [job, needs] of graph) {
    const seen = new Set<string>();
    for (const [i, need] of needs.entries()) {
      const path = ["jobs", job, "needs", i];
      if (need !== "" && !graph.has(need)) {
        findings.push({ path, message: `no job is called ${quote(need)}`, hint: () => nearHint(need, graph.keys()) });
      } else if (need !== "" && seen.has(need)) {
        findings.push({ path, message: `${quote(need)} is needed twice`, hint: "keep one of them" });
      }
      seen.add(need);
    }
  }
  const { cycle } = topologicalOrder(graph);
  const [first, second] = cycle ?? [];
  if (cycle === undefined || first === undefined || second === undefined) return findings;
  const at = graph.get(first)?.indexOf(second) ?? 0;
  const message = `these jobs wait for each other: ${cycle.slice(0, 12).join(" -> ")}${cycle.length > 12 ? " -> ..." : ""}`;
  findings.push({ path: ["jobs", first, "needs", at], message, hint: "remove one of these needs" });
  return findings;
}
