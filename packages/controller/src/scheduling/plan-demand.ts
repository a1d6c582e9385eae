import { create } from "@bufbuild/protobuf";
import { HeldBack_Reason, HeldBackSchema, type PlacementExplanation, type PlanDemandRequest } from "@kedge/proto";
import { type Cluster, type Demand, explain, fits } from "@kedge/scheduler";
import type { Scheduling } from "./scheduling.ts";

/** Where copies of a demand would go now, one after the other, up to the first that fits nowhere. Nothing stays reserved. */
export function planDemand(request: PlanDemandRequest, scheduling: Scheduling): PlacementExplanation[] {
  const { cluster } = scheduling;
  const planned: PlacementExplanation[] = [];
  const keys: string[] = [];
  try {
    for (let i = 0; i < (request.count || 1); i++) {
      const demand = demandOf(request, `plan:${i}`);
      const explanation = explain(cluster, demand);
      planned.push(explanation);
      if (explanation.chosenNodeId === "") break;
      reserve(cluster, demand, explanation.chosenNodeId);
      keys.push(demand.key);
    }
  } finally {
    for (const key of keys) cluster.release(key);
  }
  noteQueue(planned, request.priority, scheduling);
  return planned;
}

function demandOf({ resources, placement, runtime }: PlanDemandRequest, key: string): Demand {
  return {
    key,
    resources,
    placement,
    runtime,
    spreadKey: placement?.spread || placement?.distinctNodes ? "plan" : undefined,
  };
}

function reserve(cluster: Cluster, demand: Demand, nodeId: string): void {
  const fit = fits(cluster, nodeId, demand);
  const gpuIndices = fit.kind === "fits" ? fit.gpuIndices : [];
  cluster.reserve(nodeId, demand.key, demand.resources, { gpuIndices, spreadKey: demand.spreadKey });
}

/** Jobs that wait at this priority or above come first, whatever room there is. */
function noteQueue(planned: readonly PlacementExplanation[], priority: number, { queue }: Scheduling): void {
  const ahead = queue.filter(({ job }) => job.priority >= priority).length;
  if (ahead === 0) return;
  for (const explanation of planned) {
    explanation.heldBack = create(HeldBackSchema, { reason: HeldBack_Reason.OUTBID, subject: String(ahead) });
  }
}
