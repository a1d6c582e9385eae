import type { QuarantinePolicy, SchedulingPolicy, TeamPolicy, TeamQuota } from "@kedge/proto";
import { stringify } from "yaml";
import { formatCpu, formatDuration, formatMebibytes } from "./quantities.ts";

/**
 * A policy as the file that `parseSchedulingPolicy` reads back to the same policy, with teams and groups in
 * alphabetical order. What has its default is left out, but for preemption: every file says whether there is any.
 */
export function formatSchedulingPolicy(policy: SchedulingPolicy): string {
  const { teams, usageHalfLifeSeconds, reserveAfterSeconds, maxReservations, concurrencyLimits } = policy;
  const tree = {
    ...(isEmpty(teams) ? {} : { teams: sorted(teams, formatTeam) }),
    ...(usageHalfLifeSeconds === 0 ? {} : { "usage-half-life": formatDuration(usageHalfLifeSeconds) }),
    ...(reserveAfterSeconds === 0 ? {} : { "reserve-after": formatDuration(reserveAfterSeconds) }),
    ...(maxReservations === 0 ? {} : { "max-reservations": maxReservations }),
    preemption: !policy.noPreemption,
    ...(isEmpty(concurrencyLimits) ? {} : { concurrency: sorted(concurrencyLimits, (limit) => limit) }),
    ...(policy.quarantine === undefined ? {} : { quarantine: formatQuarantine(policy.quarantine) }),
  };
  return stringify(tree, { lineWidth: 0 });
}

function formatQuarantine({ manualOnly, maxPercent, firstSeconds, endTasks }: QuarantinePolicy) {
  return {
    automatic: !manualOnly,
    ...(maxPercent === 0 ? {} : { "max-percent": maxPercent }),
    ...(firstSeconds === 0 ? {} : { first: formatDuration(firstSeconds) }),
    ...(endTasks ? { "end-tasks": true } : {}),
  };
}

function isEmpty(map: object): boolean {
  return Object.keys(map).length === 0;
}

function sorted<In, Out>(map: Readonly<Record<string, In>>, format: (value: In) => Out): Map<string, Out> {
  const entries = Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1));
  return new Map(entries.map(([key, value]) => [key, format(value)]));
}

function formatTeam({ share, quota }: TeamPolicy) {
  return {
    ...(share === 0 ? {} : { share }),
    ...(quota === undefined ? {} : { quota: formatQuota(quota) }),
  };
}

function formatQuota({ cpuMilli, memoryMib, diskMib, gpuMilli, jobs }: TeamQuota) {
  return {
    ...(cpuMilli === 0n ? {} : { cpu: formatCpu(Number(cpuMilli)) }),
    ...(memoryMib === 0n ? {} : { memory: formatMebibytes(Number(memoryMib)) }),
    ...(diskMib === 0n ? {} : { disk: formatMebibytes(Number(diskMib)) }),
    ...(gpuMilli === 0n ? {} : { gpus: Number(gpuMilli) / 1000 }),
    ...(jobs === 0 ? {} : { jobs }),
  };
}
