import { create } from "@bufbuild/protobuf";
import { type HeldBack, HeldBack_Reason, HeldBackSchema } from "@kedge/proto";
import type { Cluster } from "../cluster.ts";
import { place } from "../place.ts";
import type { StillWaiting } from "./admission-types.ts";
import type { Hold } from "./hold.ts";
import type { Holds } from "./holds.ts";
import type { Limit } from "./limits.ts";
import type { Placer } from "./placer.ts";
import type { Unit } from "./unit.ts";

/** What a pass knows of units that still wait. */
export interface Standing {
  readonly limits: ReadonlyMap<Unit, Limit>;
  /** Units that have room held, or made, for them. */
  readonly holders: ReadonlyMap<Unit, readonly Hold[]>;
  readonly placer: Placer;
}

/** Everything that still waits, in order, and why. */
export function waitingList(
  { cluster, holds }: { readonly cluster: Cluster; readonly holds: Holds },
  rest: readonly Unit[],
  standing: Standing,
): StillWaiting[] {
  const outbid = outbidBy(standing.placer.jobs);
  const inTheWay = holdsInTheWay(cluster, holds, rest, standing);
  const list: StillWaiting[] = [];
  for (const unit of rest) {
    const heldBack =
      reasonFor(unit, standing) ?? inTheWay.get(unit.shapes) ?? (standing.placer.hadRoom(unit) ? outbid : undefined);
    const held = standing.holders.get(unit);
    for (const { job } of unit.members) {
      const hold = held?.find((one) => one.job === job);
      const reserved = hold && { nodeId: hold.nodeId, atMs: hold.atMs };
      list.push({ job, position: list.length + 1, value: unit.value, heldBack, reserved });
    }
  }
  return list;
}

function reasonFor(unit: Unit, { limits, holders, placer }: Standing): HeldBack | undefined {
  const limit = limits.get(unit);
  if (limit !== undefined) return create(HeldBackSchema, limit);
  const subject = placer.unfitMember(unit);
  if (subject !== undefined) return create(HeldBackSchema, { reason: HeldBack_Reason.GANG, subject });
  const [hold] = holders.get(unit) ?? [];
  if (hold?.kind !== "preemption") return undefined;
  return create(HeldBackSchema, { reason: HeldBack_Reason.PREEMPTING, subject: hold.nodeId });
}

function outbidBy(jobs: number): HeldBack | undefined {
  return jobs === 0 ? undefined : create(HeldBackSchema, { reason: HeldBack_Reason.OUTBID, subject: `${jobs}` });
}

/** By shape, the holds that keep single jobs out: what would fit if no room were held, and for whom it is. */
function holdsInTheWay(
  cluster: Cluster,
  holds: Holds,
  rest: readonly Unit[],
  { holders, placer }: Standing,
): ReadonlyMap<string, HeldBack | undefined> {
  const found = new Map<string, HeldBack | undefined>();
  if (holds.size === 0) return found;
  holds.without(holds.nodes(), () => {
    for (const unit of rest) {
      // No holds were in the way when the pass began.
      if (!placer.hadRoom(unit) || holders.has(unit) || found.has(unit.shapes)) continue;
      const result = place(cluster, unit.first.demand);
      const subject = result.kind === "placed" ? holds.on(result.nodeId)[0]?.job.name : undefined;
      const reason = HeldBack_Reason.RESERVATION;
      found.set(unit.shapes, subject === undefined ? undefined : create(HeldBackSchema, { reason, subject }));
    }
  });
  return found;
}
