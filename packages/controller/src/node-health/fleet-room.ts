import type { FleetNode, QuarantineRoom } from "@kedge/analysis";
import { type Amounts, addAmounts, capacityAmounts, requestAmounts } from "@kedge/domain";
import { type Capacity, type Node, NodeState, type QuarantinePolicy, type ResourceRequest } from "@kedge/proto";
import type { AssignmentWriter } from "../nodes/assignment-writer.ts";
import { isQuarantined } from "./quarantine.ts";

const DEFAULT_MAX_PERCENT = 10;
const WHOLE_DEVICE = 1_000;

/** What the fleet has in service, and what the replicas that are assigned need of it. */
export function quarantineRoom(
  nodes: readonly Node[],
  assignments: Pick<AssignmentWriter, "replicas">,
  policy: QuarantinePolicy | undefined,
): QuarantineRoom {
  let needed: Amounts = {};
  for (const { replica } of assignments.replicas()) needed = addAmounts(needed, neededBy(replica.template?.resources));
  return { nodes: nodes.map(fleetNode), needed, maxPercent: policy?.maxPercent || DEFAULT_MAX_PERCENT };
}

function fleetNode(node: Node): FleetNode {
  const isAside = isQuarantined(node);
  return {
    nodeId: node.id,
    capacity: amountsOf(node.capacity),
    isQuarantined: isAside,
    isInService: node.state === NodeState.READY && !node.cordoned && !node.draining && !isAside,
  };
}

function amountsOf(capacity: Capacity | undefined): Amounts {
  return addAmounts(capacityAmounts(capacity), { gpu_milli: (capacity?.gpus.length ?? 0) * WHOLE_DEVICE });
}

function neededBy(request: ResourceRequest | undefined): Amounts {
  const { gpu } = request ?? {};
  const milli = gpu === undefined ? 0 : gpu.count > 0 ? gpu.count * WHOLE_DEVICE : gpu.shareMilli;
  return addAmounts(requestAmounts(request), { gpu_milli: milli });
}
