import { NodeRejection_Reason } from "@kedge/proto";
import type { NodeEntry } from "./node-entry.ts";
import type { Obstacle } from "./obstacle.ts";

/** A node and everything that keeps a demand off it. */
export interface Blocked {
  readonly entry: NodeEntry;
  readonly obstacles: readonly Obstacle[];
}

const MAX_REMEDIES = 8;

/**
 * What would make a demand fit, most promising first: for each single obstacle, how many nodes would take the demand if
 * only that were undone; for resources, the node that lacks the least. Nodes with several obstacles are counted for none.
 */
export function remediesFor(blocked: readonly Blocked[]): string[] {
  const groups = new Map<string, { obstacle: Obstacle; nodes: NodeEntry[] }>();
  for (const { entry, obstacles } of blocked) {
    const [only, another] = obstacles;
    if (only === undefined || another !== undefined) continue;
    const key = `${only.reason} ${only.subject}`;
    const group = groups.get(key) ?? { obstacle: only, nodes: [] };
    groups.set(key, { obstacle: nearer(only, group.obstacle), nodes: sorted(only, group, entry) });
  }
  const ordered = [...groups.values()].sort((a, b) => missingShare(a.obstacle) - missingShare(b.obstacle));
  return ordered.slice(0, MAX_REMEDIES).map(({ obstacle, nodes }) => describeRemedy(obstacle, nodes));
}

/** The node that lacks least stays first. */
function sorted(only: Obstacle, group: { obstacle: Obstacle; nodes: NodeEntry[] }, entry: NodeEntry): NodeEntry[] {
  return missingShare(only) < missingShare(group.obstacle) ? [entry, ...group.nodes] : [...group.nodes, entry];
}

const nearer = (a: Obstacle, b: Obstacle): Obstacle => (missingShare(a) < missingShare(b) ? a : b);

/** The part of what is wanted that is missing; obstacles other than resources come after small shortages. */
function missingShare({ reason, wanted, free }: Obstacle): number {
  return reason === NodeRejection_Reason.RESOURCE_SHORT ? (wanted - free) / Math.max(wanted, 1) : 0.5;
}

function describeRemedy(obstacle: Obstacle, nodes: readonly NodeEntry[]): string {
  const { reason, subject, wanted, free, total } = obstacle;
  const [first] = nodes;
  const others = nodes.length === 1 ? `${first?.id} would` : `${first?.id} and ${nodes.length - 1} more would each`;
  switch (reason) {
    case NodeRejection_Reason.RESOURCE_SHORT:
      return describeShortage(obstacle, nodes, wanted <= total);
    case NodeRejection_Reason.LABEL_MISMATCH:
    case NodeRejection_Reason.CONSTRAINT:
      return `${others} take it without the condition on label ${subject}`;
    case NodeRejection_Reason.TAINTED:
      return `${others} take it if it tolerated the taint ${subject}`;
    case NodeRejection_Reason.RUNTIME_MISSING:
      return `${others} take it with the ${subject} runtime installed`;
    case NodeRejection_Reason.NOT_READY:
      return `${others} take it when ready again (now ${subject})`;
    case NodeRejection_Reason.CORDONED:
      return `${others} take it when uncordoned (now ${subject})`;
    case NodeRejection_Reason.WORKLOAD:
      return `${others} take it without the condition on ${subject}`;
    case NodeRejection_Reason.SPREAD:
      return `${others} take it if copies need not be spread over ${subject === "copies" ? "nodes" : subject}`;
    case NodeRejection_Reason.HELD:
      return `${others} take it when ${subject} has started or is gone: the room is held for that job`;
    case NodeRejection_Reason.QUARANTINED:
      return `${others} take it when released (now ${subject})`;
    case NodeRejection_Reason.AVOIDED:
      return `${others} take it when it is avoided no more: ${subject}`;
    default:
      return `${others} take it without ${subject} (${free} of ${total} free)`;
  }
}

function describeShortage({ subject, wanted, free }: Obstacle, nodes: readonly NodeEntry[], waits: boolean): string {
  const [first] = nodes;
  const short = `${first?.id} lacks only ${subject}: ${wanted} wanted, ${free} free`;
  const more = nodes.length > 1 ? ` (${nodes.length} nodes lack only that)` : "";
  if (free <= 0)
    return `${short}${more}; ${waits ? `it fits when ${wanted - free} come free` : "it needs a bigger node"}`;
  return `${short}${more}; it fits ${waits ? `when ${wanted - free} come free, or ` : ""}if it asks for at most ${free}`;
}
