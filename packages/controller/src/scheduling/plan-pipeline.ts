import { create } from "@bufbuild/protobuf";
import {
  HeldBack_Reason,
  HeldBackSchema,
  type JobSpec,
  type PipelineSpec,
  type PlacementExplanation,
} from "@kedge/proto";
import { explain, placeGang } from "@kedge/scheduler";
import { type JobOwner, jobDemand } from "./job-demand.ts";
import type { Scheduling } from "./scheduling.ts";

/** Where the jobs of a pipeline would go now, each by itself, those of a gang together. */
export function planPlacements(spec: PipelineSpec, scheduling: Scheduling): Record<string, PlacementExplanation> {
  const owner = { runId: "plan", pipeline: spec.name, bytesOf: scheduling.bytesOf };
  const jobs = spec.jobs.filter((job) => job.work.case === "steps");
  const placements = new Map<string, PlacementExplanation>();
  for (const [gang, members] of Map.groupBy(jobs, (job) => job.gang)) {
    if (gang === "") for (const job of members) placements.set(job.name, explainAlone(job, owner, scheduling));
    else for (const [name, planned] of planGang(members, owner, scheduling)) placements.set(name, planned);
  }
  return Object.fromEntries(placements);
}

function explainAlone(job: JobSpec, owner: JobOwner, { cluster }: Scheduling): PlacementExplanation {
  return explain(cluster, jobDemand(job.name, job, owner));
}

function planGang(
  members: readonly JobSpec[],
  owner: JobOwner,
  scheduling: Scheduling,
): [name: string, PlacementExplanation][] {
  const demands = members.map((job) => jobDemand(job.name, job, owner));
  const result = placeGang(scheduling.cluster, demands);
  if (result.kind === "placed") {
    return members.flatMap(({ name }, i) => {
      const planned = result.placements[i];
      return planned === undefined ? [] : [[name, planned.explanation]];
    });
  }
  const blocker = members[result.index]?.name ?? "";
  return members.map((job, i) => {
    if (i === result.index) return [job.name, result.explanation];
    const alone = explainAlone(job, owner, scheduling);
    alone.heldBack = create(HeldBackSchema, { reason: HeldBack_Reason.GANG, subject: blocker });
    alone.summary = `its gang cannot start: ${blocker} finds no room`;
    return [job.name, alone];
  });
}
