import type { z } from "zod";
import { type Finding, nearHint, quote } from "./finding.ts";
import { ancestors, type JobGraph } from "./graph.ts";
import type { jobSchema } from "./job.ts";

/** Checks that every gate reads metrics of jobs that have ended before it. */
export function gateFindings(jobs: Readonly<Record<string, z.output<typeof jobSchema>>>, graph: JobGraph): Finding[] {
  return Object.entries(jobs).flatMap(([name, job]) => {
    if (job.gate?.case !== "gate") return [];
    if ((graph.get(name) ?? []).length === 0) {
      const hint = "name the jobs that report the metrics";
      return [{ path: ["jobs", name, "gate"], atKey: true, message: 'a gate needs "needs"', hint }];
    }
    const before = ancestors(graph, name);
    return job.gate.value.rules.flatMap((rule, i): Finding[] => {
      if (rule.job === "" || before.has(rule.job)) return [];
      const path = ["jobs", name, "gate", i, "job"];
      if (graph.has(rule.job)) {
        return [
          { path, message: `${quote(name)} does not wait for ${quote(rule.job)}`, hint: `add ${rule.job} to needs` },
        ];
      }
      return [{ path, message: `no job is called ${quote(rule.job)}`, hint: () => nearHint(rule.job, graph.keys()) }];
    });
  });
}
