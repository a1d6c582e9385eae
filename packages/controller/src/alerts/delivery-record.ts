import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type AlertDelivery, AlertDeliverySchema, AlertDeliveryState, AlertNotice, type Incident } from "@kedge/proto";

// The moves of a stored delivery. Each returns a new document.

/** How long a notice is tried. */
export const GIVE_UP_MS = 24 * 3_600_000;

const BACKOFF_MIN_MS = 1_000;
const BACKOFF_MAX_MS = 300_000;

/** The id by which a receiver tells a notice from its repetitions: the same for every attempt, also after a crash. */
export function noticeId({ incidentId, receiver, number }: AlertDelivery): string {
  return `${incidentId}.${receiver}.${number}`;
}

/** A new notice that takes the place of the one before. */
export function queued(
  before: AlertDelivery | undefined,
  names: { readonly incidentId: string; readonly receiver: string },
  notice: AlertNotice,
  nowMs: number,
): AlertDelivery {
  const now = timestampFromMs(nowMs);
  const isOpening = notice === AlertNotice.OPENED || notice === AlertNotice.ESCALATED;
  const openingAt = isOpening ? now : before?.openingAt;
  return create(AlertDeliverySchema, {
    ...names,
    number: (before?.number ?? 0) + 1,
    notice,
    state: AlertDeliveryState.PENDING,
    queuedAt: now,
    told: before?.told ?? false,
    toldSeverity: before?.toldSeverity ?? 0,
    toldResolved: before?.toldResolved ?? false,
    ...(openingAt === undefined ? {} : { openingAt }),
  });
}

/**
 * An attempt begins. It is counted before it is made, with the time of the next: were the process killed in the middle
 * of it, the next one would repeat the notice after that time, under the same id. `chance` from 0 to 1 spreads them.
 */
export function begun(delivery: AlertDelivery, nowMs: number, chance: number): AlertDelivery {
  const after = clone(AlertDeliverySchema, delivery);
  const backoffMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(delivery.attempts, 20));
  after.attempts += 1;
  after.nextAttemptAt = timestampFromMs(nowMs + Math.round(backoffMs * (0.5 + chance / 2)));
  return after;
}

/** The receiver took it. */
export function delivered(delivery: AlertDelivery, { severity }: Incident, nowMs: number): AlertDelivery {
  const { nextAttemptAt: _, ...rest } = clone(AlertDeliverySchema, delivery);
  const isOpening = delivery.notice === AlertNotice.OPENED;
  return create(AlertDeliverySchema, {
    ...rest,
    state: AlertDeliveryState.DELIVERED,
    deliveredAt: timestampFromMs(nowMs),
    error: "",
    told: true,
    toldSeverity: isOpening ? severity : Math.max(severity, delivery.toldSeverity),
    toldResolved: delivery.notice === AlertNotice.RESOLVED,
  });
}

/** The attempt failed. `notBeforeMs` is what the receiver asks for, if it does. */
export function failed(delivery: AlertDelivery, error: string, notBeforeMs: number): AlertDelivery {
  const after = clone(AlertDeliverySchema, delivery);
  after.error = error;
  const plannedMs = delivery.nextAttemptAt === undefined ? 0 : timestampMs(delivery.nextAttemptAt);
  after.nextAttemptAt = timestampFromMs(Math.max(plannedMs, notBeforeMs));
  return after;
}

/** It is not sent: nobody took it for too long, or it is of no use any more. */
export function ended(
  delivery: AlertDelivery,
  state: AlertDeliveryState.GIVEN_UP | AlertDeliveryState.DROPPED,
  { error, nowMs }: { readonly error: string; readonly nowMs: number },
): AlertDelivery {
  const after = clone(AlertDeliverySchema, delivery);
  after.state = state;
  after.error = error;
  after.nextAttemptAt = timestampFromMs(nowMs);
  // An end that could not be told for a day is not told at all.
  if (state === AlertDeliveryState.GIVEN_UP && delivery.notice === AlertNotice.RESOLVED) after.toldResolved = true;
  return after;
}
