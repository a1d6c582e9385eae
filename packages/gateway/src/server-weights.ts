/** HAProxy's largest server weight. */
const MAX_WEIGHT = 256;
const WHOLE = 10_000;
/** Split error, in basis points, that equal weights within each revision may cost before unequal ones are taken. */
const TOLERATED = 10;

/** Weights of one revision's servers, and the share they really get. */
export interface RevisionWeights {
  readonly weights: readonly number[];
  /** Basis points, rounded. */
  readonly realised: number;
}

interface Arm {
  readonly revision: number;
  readonly share: number;
  readonly servers: number;
}

/**
 * Whole server weights from 0 to 256 that come nearest to a split: every scale up to the largest is tried. First with
 * equal weights inside each revision; if that misses a share by more than 0.1 points, weights inside a revision may
 * differ by one, which can leave some of its servers without traffic. A revision with a share always gets some: the
 * least that can be expressed is 1/(256 n + 1), n being the servers of the others. Error is at most 0.4 points.
 *
 * @param shares basis points by revision, adding up to 10,000
 * @param serverCounts number of servers by revision, at least 1 for each revision with a share
 */
export function serverWeights(
  shares: ReadonlyMap<number, number>,
  serverCounts: ReadonlyMap<number, number>,
): Map<number, RevisionWeights> {
  const arms = [...shares].map(([revision, share]) => ({ revision, share, servers: serverCounts.get(revision) ?? 0 }));
  const even = nearest(arms, (arm, total) => arm.servers * clamp(Math.round(total / arm.servers), 1, MAX_WEIGHT));
  const totals =
    even.error <= TOLERATED
      ? even.totals
      : nearest(arms, (arm, total) => clamp(Math.round(total), 1, MAX_WEIGHT * arm.servers)).totals;
  const sum = totals.reduce((a, b) => a + b, 0);
  return new Map(
    arms.map((arm, i) => {
      const total = totals[i] ?? 0;
      return [
        arm.revision,
        { weights: spread(total, arm.servers), realised: sum === 0 ? 0 : Math.round((total * WHOLE) / sum) },
      ];
    }),
  );
}

/** Tries all scales; on a tie the smallest weights win, as they interleave revisions most finely. */
function nearest(
  arms: readonly Arm[],
  round: (arm: Arm, total: number) => number,
): { totals: number[]; error: number } {
  const densest = Math.max(...arms.map((arm) => arm.share / arm.servers));
  let best = { totals: arms.map(() => 0), error: Number.POSITIVE_INFINITY };
  for (let scale = 1; scale <= MAX_WEIGHT; scale++) {
    const totals = arms.map((arm) => round(arm, (arm.share * scale) / densest));
    const error = splitError(arms, totals);
    if (error < best.error - 1e-9) best = { totals, error };
  }
  return best;
}

function splitError(arms: readonly Arm[], totals: readonly number[]): number {
  const sum = totals.reduce((a, b) => a + b, 0);
  return Math.max(0, ...arms.map((arm, i) => Math.abs(((totals[i] ?? 0) * WHOLE) / sum - arm.share)));
}

function spread(total: number, servers: number): number[] {
  return Array.from({ length: servers }, (_, i) => Math.floor(total / servers) + (i < total % servers ? 1 : 0));
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}
