import { type Finding, nearHint, quote } from "./finding.ts";
import type { Pipeline } from "./pipeline-schema.ts";

/** Checks that what `near` and `apart` name of this very pipeline is there. */
export function neighbourFindings({ name, jobs }: Pipeline): Finding[] {
  return Object.entries(jobs).flatMap(([job, fields]) =>
    (["near", "apart"] as const).flatMap((key) =>
      (fields[key] ?? []).flatMap(({ workload }, i): Finding[] => {
        const [pipeline, other] = workload.split("/");
        if (pipeline !== name || other === undefined || Object.hasOwn(jobs, other)) return [];
        const hint = () => nearHint(other, Object.keys(jobs));
        return [{ path: ["jobs", job, key, i], message: `no job is called ${quote(other)}`, hint }];
      }),
    ),
  );
}
