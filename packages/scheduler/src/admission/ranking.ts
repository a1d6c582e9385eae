import type { Amounts } from "@kedge/domain";
import type { WaitingJob } from "./admission-types.ts";

/** However near a deadline is, it makes a job so many times as valuable at most. */
const MAX_URGENCY = 10;

/**
 * What a waiting job is worth before its team's fair-share factor: 1, growing to 2 until it has waited `reserveAfterMs`,
 * times its urgency: 1 + its limit / the time to its deadline. From then on room is held for it instead; if age counted on
 * and on, waiting would make up for any share of a team that always has work.
 */
export function baseValue(job: WaitingJob, nowMs: number, reserveAfterMs: number): number {
  const age = 1 + Math.min(1, Math.max(0, nowMs - job.waitingSinceMs) / reserveAfterMs);
  return age * urgency(job, nowMs);
}

function urgency({ deadlineMs, limitMs }: WaitingJob, nowMs: number): number {
  if (deadlineMs === undefined) return 1;
  return Math.min(MAX_URGENCY, 1 + limitMs / Math.max(1, deadlineMs - nowMs));
}

/**
 * What amounts cost while so much is left: the sum of asked / left (see knapsack.ts for where this is from). 0 for
 * nothing asked, infinite for what is gone; what no node has costs nothing, and is not to be had. Never falls while room
 * goes.
 */
export function priceOf(amounts: Amounts, left: Amounts): number {
  let price = 0;
  for (const dimension in amounts) {
    const free = left[dimension];
    if (free === undefined) continue;
    price += free > 0 ? (amounts[dimension] ?? 0) / free : Number.POSITIVE_INFINITY;
  }
  return price;
}

/** First those that waited longer, then by name. */
export function isFirst(a: WaitingJob, b: WaitingJob): number {
  return a.waitingSinceMs - b.waitingSinceMs || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}
