import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type HookDelivery, HookDeliverySchema, HookDeliveryState, type Source } from "@kedge/proto";
import type { GenuineHook } from "./signatures.ts";

// The moves of a stored delivery. Each returns a new document.

const BACKOFF_MIN_MS = 2_000;
const BACKOFF_MAX_MS = 300_000;
const MAX_ATTEMPTS = 12;
const MAX_MESSAGE = 4_000;

/** Key of a delivery. */
export function deliveryKey(repository: string, id: string): string {
  return `${repository}.${id}`;
}

/** A delivery that came in; its body is stored in so many parts. */
export function received(
  { event, forgeId, id }: GenuineHook,
  stored: { readonly repository: string; readonly parts: number; readonly bytes: number; readonly nowMs: number },
): HookDelivery {
  const { nowMs, ...rest } = stored;
  const receivedAt = timestampFromMs(nowMs);
  return create(HookDeliverySchema, { ...rest, id, event, forgeId, receivedAt, state: HookDeliveryState.PENDING });
}

/** The forge sent it again; nothing follows from it. */
export function repeated(delivery: HookDelivery): HookDelivery {
  const after = clone(HookDeliverySchema, delivery);
  after.repeats += 1;
  return after;
}

/** When it is to be looked at: a time, at once, or never. */
export function dueMs({ state, nextAttemptAt }: HookDelivery): number | undefined {
  if (state !== HookDeliveryState.PENDING) return undefined;
  return nextAttemptAt === undefined ? 0 : timestampMs(nextAttemptAt);
}

/** An attempt begins: it is counted, with the time of the next, before it is made. `chance` from 0 to 1 spreads them. */
export function begun(delivery: HookDelivery, nowMs: number, chance: number): HookDelivery {
  const after = clone(HookDeliverySchema, delivery);
  const backoffMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(delivery.attempts, 20));
  after.attempts += 1;
  after.nextAttemptAt = timestampFromMs(nowMs + Math.round(backoffMs * (0.5 + chance / 2)));
  return after;
}

/** The attempt failed in a way that may pass; after so many it is given up. */
export function failedOnce(delivery: HookDelivery, message: string, nowMs: number): HookDelivery {
  if (delivery.attempts >= MAX_ATTEMPTS) return ended(delivery, { state: HookDeliveryState.FAILED, message, nowMs });
  const after = clone(HookDeliverySchema, delivery);
  after.message = message.slice(0, MAX_MESSAGE);
  return after;
}

/** What an ended delivery came to. */
export interface Ending {
  readonly state: HookDeliveryState.DONE | HookDeliveryState.IGNORED | HookDeliveryState.FAILED;
  readonly message: string;
  readonly nowMs: number;
  readonly runIds?: readonly string[];
  readonly source?: Source;
}

/** It is over. */
export function ended(delivery: HookDelivery, { state, message, nowMs, runIds = [], source }: Ending): HookDelivery {
  const { nextAttemptAt: _, ...rest } = clone(HookDeliverySchema, delivery);
  return create(HookDeliverySchema, {
    ...rest,
    state,
    message: message.slice(0, MAX_MESSAGE),
    finishedAt: timestampFromMs(nowMs),
    runIds: [...new Set([...delivery.runIds, ...runIds])],
    // The list of paths is in the runs.
    ...(source === undefined ? {} : { source: { ...source, changed: [] } }),
  });
}

/** Somebody wants it processed again. */
export function redelivered(delivery: HookDelivery): HookDelivery {
  const { nextAttemptAt: _, finishedAt: __, ...rest } = clone(HookDeliverySchema, delivery);
  return create(HookDeliverySchema, {
    ...rest,
    state: HookDeliveryState.PENDING,
    message: "",
    attempts: 0,
    redeliveries: delivery.redeliveries + 1,
  });
}
