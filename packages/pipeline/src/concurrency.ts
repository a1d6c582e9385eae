import { create } from "@bufbuild/protobuf";
import { type ConcurrencyGroup, ConcurrencyGroupSchema } from "@kedge/proto";
import { z } from "zod";
import { name, whole } from "./fields.ts";
import { type Finding, formatPath, type Path, quote } from "./finding.ts";
import type { Pipeline } from "./pipeline-schema.ts";

/** A concurrency group: its name, or the name and how many jobs of it may hold a node at once. */
export const concurrency = z
  .union([
    name("group"),
    z.strictObject({
      group: name("group"),
      limit: whole(1, 100_000).optional().meta({ description: "Jobs at once, over all runs. Default: 1." }),
    }),
  ])
  .meta({ description: "At most so many jobs of this group run at once, over all runs." })
  .transform((value): ConcurrencyGroup => {
    const { group, limit = 1 } = typeof value === "string" ? { group: value } : value;
    return create(ConcurrencyGroupSchema, { name: group, limit });
  });

/** A group that is asked for in a pipeline, and where. */
interface Mention {
  readonly group: ConcurrencyGroup;
  readonly path: Path;
}

/** The group of each job with steps: its own, else the pipeline's. */
export function groupsOf({ concurrency: shared, jobs }: Pipeline): ReadonlyMap<string, ConcurrencyGroup> {
  const groups = new Map<string, ConcurrencyGroup>();
  for (const [job, { steps, concurrency: own }] of Object.entries(jobs)) {
    const group = own ?? shared;
    if (steps !== undefined && group !== undefined) groups.set(job, group);
  }
  return groups;
}

/** Checks that a group has the same limit wherever a pipeline names it. */
export function concurrencyFindings(pipeline: Pipeline): Finding[] {
  const first = new Map<string, Mention>();
  return mentions(pipeline).flatMap((mention): Finding[] => {
    const { group, path } = mention;
    const known = first.get(group.name);
    if (known === undefined) first.set(group.name, mention);
    if (known === undefined || known.group.limit === group.limit) return [];
    const message = `the group ${quote(group.name)} has a limit of ${group.limit} here and of ${known.group.limit} at ${formatPath(known.path)}`;
    return [{ path, message, others: [known.path], hint: "give the same limit everywhere; without one it is 1" }];
  });
}

function mentions({ concurrency: shared, jobs }: Pipeline): Mention[] {
  const own = Object.entries(jobs).flatMap(([job, { concurrency: group }]) =>
    group === undefined ? [] : [{ group, path: ["jobs", job, "concurrency"] }],
  );
  return shared === undefined ? own : [{ group: shared, path: ["concurrency"] }, ...own];
}
