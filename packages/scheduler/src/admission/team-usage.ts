import { create } from "@bufbuild/protobuf";
import type { Amounts } from "@kedge/domain";
import { type TeamQuota, TeamQuotaSchema, type TeamUsage, TeamUsageSchema } from "@kedge/proto";
import { dominantShare } from "./amounts.ts";
import { shareOf } from "./fair-share.ts";
import type { Ledger } from "./ledger.ts";

/** What each team may use, holds, and has used as a part of all teams' use; every team of the policy and the ledger. */
export function teamUsage({ accounts, rules, running, waiting }: Ledger, total: Amounts, nowMs: number): TeamUsage[] {
  const teams = [...new Set([...accounts.keys(), ...rules.shares.keys(), ...rules.quotas.keys()])].sort();
  const used = new Map(
    teams.map((team) => [team, dominantShare(accounts.get(team)?.usedBy(nowMs, rules.halfLifeMs) ?? {}, total)]),
  );
  const all = [...used.values()].reduce((sum, share) => sum + share, 0);
  return teams.map((team) =>
    create(TeamUsageSchema, {
      team,
      share: shareOf(rules, team),
      held: quotaOf(accounts.get(team)?.held ?? {}),
      quota: quotaOf(rules.quotas.get(team) ?? {}),
      usedShare: all === 0 ? 0 : (used.get(team) ?? 0) / all,
      runningJobs: running.teams.get(team) ?? 0,
      waitingJobs: waiting.teams.get(team) ?? 0,
    }),
  );
}

function quotaOf(amounts: Amounts): TeamQuota {
  const of = (dimension: string): bigint => BigInt(amounts[dimension] ?? 0);
  return create(TeamQuotaSchema, {
    cpuMilli: of("cpu_milli"),
    memoryMib: of("memory_mib"),
    diskMib: of("disk_mib"),
    gpuMilli: of("gpu_milli"),
    jobs: amounts["jobs"] ?? 0,
  });
}
