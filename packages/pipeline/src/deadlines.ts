import { type Finding, quote } from "./finding.ts";
import { ancestors, type JobGraph } from "./graph.ts";
import type { Pipeline } from "./pipeline-schema.ts";

/** Warns of deadlines that cannot be what was meant: after the run's end, or before that of a job that is waited for. */
export function deadlineFindings({ jobs }: Pipeline, graph: JobGraph, runSeconds: number): Finding[] {
  const deadline = (job: string) => jobs[job]?.["finish-within"];
  return Object.keys(jobs).flatMap((job): Finding[] => {
    const seconds = deadline(job);
    if (seconds === undefined) return [];
    const path = ["jobs", job, "finish-within"];
    if (seconds > runSeconds) {
      const message = `the run is ended before that, after ${runSeconds} s`;
      return [{ path, warning: true, message, others: [["timeout"]], hint: "raise the pipeline's timeout" }];
    }
    const later = [...ancestors(graph, job)].find((need) => (deadline(need) ?? 0) > seconds);
    if (later === undefined) return [];
    const message = `${quote(job)} waits for ${quote(later)}, which may take until ${deadline(later)} s`;
    const others = [["jobs", later, "finish-within"]];
    return [{ path, warning: true, message, others, hint: `give ${later} the earlier deadline` }];
  });
}
