import { timestampMs } from "@bufbuild/protobuf/wkt";
import { isKedgeError, isRunEnded } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import type { Run } from "@kedge/proto";
import type { Stores } from "../stores.ts";

/** How many ended runs are kept, how many jobs they may have together (some 6 KB of memory each), and for how long. */
export const RUN_RETENTION = { count: 10_000, jobs: 100_000, ageMs: 30 * 24 * 3600 * 1000 } as const;

const MAX_PER_PASS = 500;

/** Forgets ended runs beyond the retention, oldest first, a bounded number at a time. */
export async function collectOldRuns(stores: Stores, clock: Clock): Promise<void> {
  const runs = [...stores.runs.entries()].map(([, { value }]) => value);
  for (const id of doomedRuns(runs, clock.now()).slice(0, MAX_PER_PASS)) {
    const stored = stores.runs.get(id);
    // Deletes take time, in which it may have been retried.
    if (stored === undefined || !isRunEnded(stored.value.state)) continue;
    await stores.runs.delete(id, stored.revision).catch((error: unknown) => {
      // Somebody retried the run just now: it is no longer ended.
      if (!isKedgeError(error, "CONFLICT")) throw error;
    });
  }
}

/** Ids of the ended runs that are not kept, the oldest first. The newest is kept however many jobs it has. */
export function doomedRuns(runs: Iterable<Run>, nowMs: number): string[] {
  const ended = [...runs].filter(({ state }) => isRunEnded(state)).toSorted((a, b) => (a.id < b.id ? 1 : -1));
  const oldestMs = nowMs - RUN_RETENTION.ageMs;
  let jobs = 0;
  const doomed = ended.filter((run, i) => {
    jobs += run.jobs.length;
    const isSurplus = i >= RUN_RETENTION.count || (i > 0 && jobs > RUN_RETENTION.jobs);
    return isSurplus || endedBefore(run.finishedAt, oldestMs);
  });
  return doomed.map(({ id }) => id).reverse();
}

function endedBefore(at: Parameters<typeof timestampMs>[0] | undefined, limitMs: number): boolean {
  return at !== undefined && timestampMs(at) < limitMs;
}
