import type { MessageInitShape } from "@bufbuild/protobuf";
import { HeldBack_Reason, type HeldBackSchema } from "@kedge/proto";
import { addTo, type Tally } from "./amounts.ts";
import type { Ledger } from "./ledger.ts";
import { missingMember, type Unit } from "./unit.ts";

/** Why a unit waits; becomes a message only for those that still wait after the pass. */
export type Limit = MessageInitShape<typeof HeldBackSchema>;

/**
 * What keeps a unit waiting whether or not there is room: its gang is not complete, a concurrency group is full, or its
 * team is at its quota. A gang counts with all its members.
 */
export function limitOn(unit: Unit, ledger: Ledger): Limit | undefined {
  return gangLimit(unit, ledger) ?? groupLimit(unit, ledger) ?? quotaLimit(unit, ledger);
}

function gangLimit(unit: Unit, ledger: Ledger): Limit | undefined {
  if (unit.gang === undefined) return undefined;
  const subject = missingMember(unit, ledger);
  return subject === undefined ? undefined : { reason: HeldBack_Reason.GANG, subject };
}

function groupLimit({ members }: Unit, { running, rules }: Ledger): Limit | undefined {
  const wanted = new Map<string, number>();
  for (const { job } of members) {
    if (job.concurrency === undefined) continue;
    const { group, limit } = job.concurrency;
    const total = rules.groupLimits.get(group) ?? Math.max(1, limit);
    const count = (wanted.get(group) ?? 0) + 1;
    wanted.set(group, count);
    const free = total - running.inGroup(group);
    if (count <= free) continue;
    return {
      reason: HeldBack_Reason.CONCURRENCY_GROUP,
      subject: group,
      wanted: count,
      free: Math.max(0, free),
      total,
    };
  }
  return undefined;
}

function quotaLimit(unit: Unit, ledger: Ledger): Limit | undefined {
  if (ledger.rules.quotas.size === 0) return undefined;
  if (unit.members.length === 1) return teamLimit(unit.team, unit.amounts, ledger);
  const byTeam = new Map<string, Tally>();
  for (const { job, amounts } of unit.members) {
    const tally = byTeam.get(job.team) ?? {};
    addTo(tally, amounts);
    byTeam.set(job.team, tally);
  }
  for (const [team, amounts] of byTeam) {
    const limit = teamLimit(team, amounts, ledger);
    if (limit !== undefined) return limit;
  }
  return undefined;
}

function teamLimit(team: string, amounts: Readonly<Tally>, ledger: Ledger): Limit | undefined {
  const quota = ledger.rules.quotas.get(team);
  const held = ledger.heldBy(team);
  for (const dimension in quota) {
    const total = quota[dimension] ?? 0;
    const wanted = amounts[dimension] ?? 0;
    const free = total - (held[dimension] ?? 0);
    if (wanted === 0 || wanted <= free) continue;
    return {
      reason: HeldBack_Reason.QUOTA,
      subject: `${team}/${dimension}`,
      wanted,
      free: Math.max(0, free),
      total,
    };
  }
  return undefined;
}
