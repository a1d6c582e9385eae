import type { Amounts } from "@kedge/domain";
import type { SchedulingPolicy, TeamQuota } from "@kedge/proto";

/** A scheduling policy as admission computes with it. */
export interface Rules {
  readonly halfLifeMs: number;
  /** A job that waited so long without room has room held for it. */
  readonly reserveAfterMs: number;
  readonly maxReservations: number;
  readonly preempts: boolean;
  readonly shares: ReadonlyMap<string, number>;
  /** Only dimensions with a limit; "jobs" counts jobs. */
  readonly quotas: ReadonlyMap<string, Amounts>;
  readonly groupLimits: ReadonlyMap<string, number>;
}

const DEFAULT_HALF_LIFE_SECONDS = 86_400;
const DEFAULT_RESERVE_AFTER_SECONDS = 60;
const DEFAULT_MAX_RESERVATIONS = 8;

/** Fills in what a policy leaves at 0. A concurrency limit of 0 stays: nothing of that group starts. */
export function rulesOf(policy: SchedulingPolicy): Rules {
  const teams = Object.entries(policy.teams);
  return {
    halfLifeMs: (policy.usageHalfLifeSeconds || DEFAULT_HALF_LIFE_SECONDS) * 1000,
    reserveAfterMs: (policy.reserveAfterSeconds || DEFAULT_RESERVE_AFTER_SECONDS) * 1000,
    maxReservations: policy.maxReservations || DEFAULT_MAX_RESERVATIONS,
    preempts: !policy.noPreemption,
    shares: new Map(teams.filter(([, { share }]) => share > 0).map(([team, { share }]) => [team, share])),
    quotas: new Map(teams.map(([team, { quota }]) => [team, quotaAmounts(quota)])),
    groupLimits: new Map(Object.entries(policy.concurrencyLimits)),
  };
}

function quotaAmounts(quota: TeamQuota | undefined): Amounts {
  if (quota === undefined) return {};
  const amounts = {
    cpu_milli: Number(quota.cpuMilli),
    memory_mib: Number(quota.memoryMib),
    disk_mib: Number(quota.diskMib),
    gpu_milli: Number(quota.gpuMilli),
    jobs: quota.jobs,
  };
  return Object.fromEntries(Object.entries(amounts).filter(([, limit]) => limit > 0));
}
