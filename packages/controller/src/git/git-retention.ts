import { timestampMs } from "@bufbuild/protobuf/wkt";
import { isKedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import type { Stores } from "../stores.ts";

/** How many deliveries of a repository are remembered, and for how long at most: what comes again in that time is known. */
export const DELIVERY_RETENTION = { count: 5_000, ageMs: 30 * 24 * 3_600_000 } as const;
/** A status without a run, and one of a run that is gone, is forgotten after this time. */
const STATUS_AGE_MS = 7 * 24 * 3_600_000;
const MAX_PER_PASS = 500;

/** Forgets deliveries and statuses beyond the retention, oldest first, a bounded number at a time. */
export async function collectGitRecords(stores: Stores, clock: Clock): Promise<void> {
  const doomed = [...oldDeliveries(stores, clock.now())];
  for (const [key, revision] of doomed.slice(0, MAX_PER_PASS)) {
    await stores.deliveries.delete(key, revision).catch(unlessChanged);
  }
  const stale = [...oldStatuses(stores, clock.now())];
  for (const [key, revision] of stale.slice(0, MAX_PER_PASS)) {
    await stores.commitStatuses.delete(key, revision).catch(unlessChanged);
  }
}

function* oldDeliveries({ deliveries }: Stores, nowMs: number): Generator<[string, number]> {
  const all = [...deliveries.entries()].map(([key, { value, revision }]) => ({
    key,
    revision,
    repository: value.repository,
    receivedMs: value.receivedAt === undefined ? 0 : timestampMs(value.receivedAt),
  }));
  all.sort((a, b) => b.receivedMs - a.receivedMs);
  const seen = new Map<string, number>();
  for (const { key, revision, repository, receivedMs } of all) {
    const count = (seen.get(repository) ?? 0) + 1;
    seen.set(repository, count);
    if (count > DELIVERY_RETENTION.count || nowMs - receivedMs > DELIVERY_RETENTION.ageMs) yield [key, revision];
  }
}

function* oldStatuses({ commitStatuses, runs, repositories }: Stores, nowMs: number): Generator<[string, number]> {
  for (const [key, { value, revision }] of commitStatuses.entries()) {
    const ageMs = nowMs - (value.wantedAt === undefined ? 0 : timestampMs(value.wantedAt));
    const isKept = repositories.get(value.repository) !== undefined && runs.get(value.runId) !== undefined;
    if (!isKept && ageMs > STATUS_AGE_MS) yield [key, revision];
  }
}

function unlessChanged(error: unknown): void {
  if (!isKedgeError(error, "CONFLICT")) throw error;
}
