import { create } from "@bufbuild/protobuf";
import { compilePipeline } from "@kedge/pipeline";
import {
  type JobSpec,
  type PlacementExplanation,
  type PlanDemandResponse,
  PlanDemandResponseSchema,
  type PlanPipelineResponse,
  PlanPipelineResponseSchema,
} from "@kedge/proto";
import { type Cluster, type Demand, explain, place } from "@kedge/scheduler";
import type { DemandSpec } from "./demand-options.ts";

/** Where so many copies of a demand would go on these nodes; ends with the first that fits nowhere. */
export function planCopies(cluster: Cluster, spec: DemandSpec, count: number): PlanDemandResponse {
  const { resources, placement, runtime } = spec;
  const placements: PlacementExplanation[] = [];
  for (let copy = 1; copy <= count; copy++) {
    const demand: Demand = { key: `plan/${copy}`, resources, placement, runtime, spreadKey: spreadKeyOf(spec) };
    placements.push(explain(cluster, demand));
    const result = place(cluster, demand);
    if (result.kind === "unplaced") break;
    const { nodeId, gpuIndices } = result;
    cluster.reserve(nodeId, demand.key, resources, { gpuIndices, spreadKey: demand.spreadKey });
  }
  return create(PlanDemandResponseSchema, { placements });
}

/** Where each job of a pipeline would go on these nodes as they are. */
export function planPipelineFile(
  cluster: Cluster,
  source: string,
  parameters: Readonly<Record<string, string>>,
): PlanPipelineResponse {
  const { spec, diagnostics } = compilePipeline(source, { parameters });
  const placements: Record<string, PlacementExplanation> = {};
  for (const job of spec?.jobs ?? []) {
    if (job.work.case === "steps") placements[job.name] = explain(cluster, jobDemand(spec?.name ?? "", job));
  }
  return create(PlanPipelineResponseSchema, { ...(spec === undefined ? {} : { spec }), placements, diagnostics });
}

function jobDemand(pipeline: string, job: JobSpec): Demand {
  const { name, resources, placement, runtime } = job;
  return { key: name, resources, placement, runtime, workload: `${pipeline}/${name}`, spreadKey: spreadKeyOf(job) };
}

/** Copies count as such only when the placement speaks of them; others pack. */
function spreadKeyOf({ placement }: DemandSpec): string | undefined {
  return placement?.spread !== undefined || placement?.distinctNodes === true ? "plan" : undefined;
}
