import { timestampMs } from "@bufbuild/protobuf/wkt";
import { isKedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import { IncidentState } from "@kedge/proto";
import type { Stores } from "../stores.ts";

/** How many closed incidents are kept, and for how long at most. */
export const INCIDENT_RETENTION = { count: 1_000, ageMs: 30 * 24 * 3600 * 1000 } as const;

const MAX_PER_PASS = 200;

/** Forgets closed incidents beyond the retention, oldest first, a bounded number at a time. */
export async function collectOldIncidents(stores: Stores, clock: Clock): Promise<void> {
  const closed = [...stores.incidents.entries()].filter(([, { value }]) => value.state === IncidentState.RESOLVED);
  closed.sort(([a], [b]) => (a < b ? -1 : 1));
  const oldest = clock.now() - INCIDENT_RETENTION.ageMs;
  const surplus = closed.length - INCIDENT_RETENTION.count;
  const doomed = closed.filter(
    (
      [
        ,
        {
          value: { resolvedAt },
        },
      ],
      i,
    ) => {
      return i < surplus || (resolvedAt !== undefined && timestampMs(resolvedAt) < oldest);
    },
  );
  for (const [key, { revision }] of doomed.slice(0, MAX_PER_PASS)) {
    await stores.incidents.delete(key, revision).catch((error: unknown) => {
      // It was opened again just now.
      if (!isKedgeError(error, "CONFLICT")) throw error;
    });
  }
}
