import { NodeRejection_Reason } from "@kedge/proto";
import type { CompiledDemand } from "./compiled-demand.ts";
import type { Obstacle } from "./obstacle.ts";

/** One sentence on a demand that waits: how many nodes each obstacle keeps it off, the most frequent first. */
export function describeUnplaced(obstacles: readonly Obstacle[]): string {
  if (obstacles.length === 0) return "no node is known";
  const groups = [...Map.groupBy(obstacles, describe)].sort(
    (a, b) => b[1].length - a[1].length || (a[0] < b[0] ? -1 : 1),
  );
  return `no node fits: ${groups.map(([text, group]) => `${group.length} ${text}${amounts(group)}`).join(", ")}`;
}

/** One sentence on a demand that no node could ever take; if resources are short, the dimension nearest to enough. */
export function describeImpossible(obstacles: readonly Obstacle[], { selector }: CompiledDemand): string {
  const short = obstacles.filter((obstacle) => obstacle.reason === NodeRejection_Reason.RESOURCE_SHORT);
  const [nearest] = [...short].sort((a, b) => b.total / b.wanted - a.total / a.wanted);
  if (nearest === undefined) {
    const wanted = selector.map(([label, value]) => `${label}=${value}`).join(", ");
    return `no known node is of the right kind${wanted === "" ? "" : ` (${wanted})`}: ${describeUnplaced(obstacles)}`;
  }
  const best = Math.max(...short.filter(({ subject }) => subject === nearest.subject).map(({ total }) => total));
  return `no known node could take it even if idle: ${nearest.subject} ${nearest.wanted} wanted, the most any node has is ${best}`;
}

function describe(obstacle: Obstacle): string {
  switch (obstacle.reason) {
    case NodeRejection_Reason.NOT_READY:
      return `not ready (${obstacle.subject})`;
    case NodeRejection_Reason.CORDONED:
      return obstacle.subject;
    case NodeRejection_Reason.LABEL_MISMATCH:
      return `with another label ${obstacle.subject}`;
    case NodeRejection_Reason.TAINTED:
      return `tainted ${obstacle.subject}`;
    case NodeRejection_Reason.RUNTIME_MISSING:
      return `without the ${obstacle.subject} runtime`;
    case NodeRejection_Reason.CONSTRAINT:
      return `not meeting the condition on label ${obstacle.subject}`;
    case NodeRejection_Reason.WORKLOAD:
      return `not meeting the condition on workload ${obstacle.subject}`;
    case NodeRejection_Reason.SPREAD:
      return obstacle.subject === "copies" ? "with a copy already" : `that would make ${obstacle.subject} uneven`;
    case NodeRejection_Reason.QUARANTINED:
      return obstacle.subject;
    case NodeRejection_Reason.AVOIDED:
      return `avoided for now (${obstacle.subject})`;
    case NodeRejection_Reason.HELD:
      return `held for ${obstacle.subject}`;
    default:
      return `short of ${obstacle.subject}`;
  }
}

function amounts(group: readonly Obstacle[]): string {
  const [first] = group;
  if (first?.reason !== NodeRejection_Reason.RESOURCE_SHORT) return "";
  return ` (${first.wanted} wanted, at most ${Math.max(...group.map(({ free }) => free))} free)`;
}
