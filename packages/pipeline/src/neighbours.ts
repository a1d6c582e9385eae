import { type Finding, nearHint, quote } from "./finding.ts";
import type { Pipeline } from "./pipeline-schema.ts";

/** Checks that what `near` and `apart` name of this very pipeline is there and holds a node. */
export function neighbourFindings({ name, jobs }: Pipeline): Finding[] {
  return Object.entries(jobs).flatMap(([job, fields]) =>
    (["near", "apart"] as const).flatMap((key) =>
      (fields[key] ?? []).flatMap(({ workload }, i): Finding[] => {
        const [pipeline, other] = workload.split("/");
        if (pipeline !== name || other === undefined || jobs[other]?.steps !== undefined) return [];
        const isThere = Object.hasOwn(jobs, other);
        const message = isThere ? `${quote(other)} holds no node` : `no job is called ${quote(other)}`;
        const hint = () => (isThere ? "only jobs with steps do" : nearHint(other, Object.keys(jobs)));
        return [{ path: ["jobs", job, key, i], message, hint }];
      }),
    ),
  );
}
