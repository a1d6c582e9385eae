import { timestampMs } from "@bufbuild/protobuf/wkt";
import { isKedgeError, isRunEnded } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import type { Stores } from "../stores.ts";

/** How many ended runs are kept, and for how long at most. */
export const RUN_RETENTION = { count: 10_000, ageMs: 30 * 24 * 3600 * 1000 } as const;

const MAX_PER_PASS = 500;

/** Forgets ended runs beyond the retention, oldest first, a bounded number at a time. */
export async function collectOldRuns(stores: Stores, clock: Clock): Promise<void> {
  const ended = [...stores.runs.entries()].filter(([, { value }]) => isRunEnded(value.state));
  ended.sort(([a], [b]) => (a < b ? -1 : 1));
  const oldest = clock.now() - RUN_RETENTION.ageMs;
  const surplus = ended.length - RUN_RETENTION.count;
  const doomed = ended.filter(([, { value }], i) => i < surplus || endedBefore(value.finishedAt, oldest));
  for (const [key, { revision }] of doomed.slice(0, MAX_PER_PASS)) {
    await stores.runs.delete(key, revision).catch((error: unknown) => {
      // Somebody retried the run just now: it is no longer ended.
      if (!isKedgeError(error, "CONFLICT")) throw error;
    });
  }
}

function endedBefore(at: Parameters<typeof timestampMs>[0] | undefined, limitMs: number): boolean {
  return at !== undefined && timestampMs(at) < limitMs;
}
