import { assertName, KedgeError } from "@kedge/domain";
import type { SchedulingPolicy } from "@kedge/proto";

const MAX_ENTRIES = 1_000;
const MAX_HALF_LIFE_SECONDS = 365 * 86_400;
const MAX_QUARANTINE_SECONDS = 86_400;
const MAX_RESERVATIONS = 1_000;

/** @throws KedgeError INVALID_FIELD, naming the field. */
export function assertPolicy(policy: SchedulingPolicy): void {
  assertAtMost("policy.usage_half_life_seconds", policy.usageHalfLifeSeconds, MAX_HALF_LIFE_SECONDS);
  assertAtMost("policy.max_reservations", policy.maxReservations, MAX_RESERVATIONS);
  assertAtMost("policy.teams", Object.keys(policy.teams).length, MAX_ENTRIES);
  assertAtMost("policy.concurrency_limits", Object.keys(policy.concurrencyLimits).length, MAX_ENTRIES);
  assertAtMost("policy.quarantine.max_percent", policy.quarantine?.maxPercent ?? 0, 100);
  assertAtMost("policy.quarantine.first_seconds", policy.quarantine?.firstSeconds ?? 0, MAX_QUARANTINE_SECONDS);
  for (const [team, { share }] of Object.entries(policy.teams)) {
    assertName("team", team, `policy.teams.${team.slice(0, 80)}`);
    if (Number.isFinite(share) && share >= 0) continue;
    const field = `policy.teams.${team}.share`;
    throw new KedgeError("INVALID_FIELD", `${field} must be a number of at least 0, not ${share}`, { field });
  }
  for (const group of Object.keys(policy.concurrencyLimits)) {
    assertName("group", group, `policy.concurrency_limits.${group.slice(0, 80)}`);
  }
}

function assertAtMost(field: string, value: number, most: number): void {
  if (value <= most) return;
  throw new KedgeError("INVALID_FIELD", `${field} must be at most ${most}, not ${value}`, { field });
}
