import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type AlertDelivery,
  AlertDeliveryState,
  AlertNotice,
  type AlertRoute,
  type Incident,
  IncidentState,
} from "@kedge/proto";

/** What a decision about one incident and one receiver is made from. */
export interface NoticeInput {
  readonly incident: Incident;
  /** What the receiver was told; absent: nothing was ever due. */
  readonly delivery: AlertDelivery | undefined;
  /** The route that leads to the receiver, if one does. */
  readonly route: AlertRoute | undefined;
  /** When the silence that matches ends, in milliseconds since 1970; absent: none matches. */
  readonly silentUntilMs: number | undefined;
  /** When an opening about the same subject may be told again; 0: at once. */
  readonly quietUntilMs: number;
  /** Incidents that were over before this are of no interest. */
  readonly policySinceMs: number;
  /** The receiver repeats by itself, but forgets what it is not told again within minutes. */
  readonly refreshed: boolean;
  readonly nowMs: number;
}

/** What is to be done. */
export type NextNotice =
  | { readonly kind: "nothing" }
  /** Look again after this time. */
  | { readonly kind: "wait"; readonly ms: number }
  /** A new notice is due. */
  | { readonly kind: "tell"; readonly notice: AlertNotice }
  /** The notice that is stored still has to be sent. */
  | { readonly kind: "send" }
  /** The notice that is stored is of no use any more. */
  | { readonly kind: "drop"; readonly why: string };

/** Between two tellings of an open incident to a receiver that forgets; a third of the time it forgets after. */
export const REFRESH_MS = 60_000;

const DEFAULT_REPEAT_MS = 4 * 3_600_000;
/** How late an incident that opened and ended while no controller ran is still told. */
const MISSED_MS = 3_600_000;
const NOTHING: NextNotice = { kind: "nothing" };

/** Decides what a receiver is to be told of an incident next. The same input gives the same answer. */
export function nextNotice(input: NoticeInput): NextNotice {
  const isOver = input.incident.state === IncidentState.RESOLVED;
  const { delivery } = input;
  if (delivery?.state === AlertDeliveryState.PENDING) return pending(input, delivery, isOver);
  return isOver ? whenOver(input) : whileOpen(input);
}

/** An opening that waits while the incident ends becomes its end, so that what was due is told once, and whole. */
function pending(input: NoticeInput, { notice, told, toldResolved }: AlertDelivery, isOver: boolean): NextNotice {
  const isEnd = notice === AlertNotice.RESOLVED;
  const knowsIt = told && !toldResolved;
  if (!(isOver && knowsIt)) {
    if (input.route === undefined) return { kind: "drop", why: "no route leads to the receiver any more" };
    if (input.silentUntilMs !== undefined && !isKept(input)) return { kind: "drop", why: "silenced" };
  }
  if (isEnd === isOver) return { kind: "send" };
  if (isOver) return { kind: "tell", notice: AlertNotice.RESOLVED };
  return knowsIt ? { kind: "drop", why: "it flared up again" } : { kind: "tell", notice: AlertNotice.OPENED };
}

/** Whoever was told that it began is told that it is over, also when silenced or no longer on the route. */
function whenOver({ incident, delivery, route, silentUntilMs, policySinceMs, nowMs }: NoticeInput): NextNotice {
  const end: NextNotice = { kind: "tell", notice: AlertNotice.RESOLVED };
  if (delivery !== undefined) return delivery.told && !delivery.toldResolved ? end : NOTHING;
  if (route === undefined || silentUntilMs !== undefined) return NOTHING;
  const openedMs = timeMs(incident.openedAt);
  const overMs = timeMs(incident.resolvedAt);
  const wasMissed = overMs > policySinceMs && nowMs - overMs < MISSED_MS;
  return wasMissed && overMs - openedMs >= route.waitSeconds * 1000 ? end : NOTHING;
}

function whileOpen(input: NoticeInput): NextNotice {
  const { incident, delivery, route, silentUntilMs, refreshed, nowMs } = input;
  if (route === undefined) return NOTHING;
  if (silentUntilMs !== undefined && !isKept(input)) return { kind: "wait", ms: silentUntilMs - nowMs };
  if (delivery === undefined || isUntold(delivery)) return opening(input, route);
  if (delivery.told && incident.severity > delivery.toldSeverity) {
    return { kind: "tell", notice: AlertNotice.ESCALATED };
  }
  if (incident.acknowledgedBy !== "" && !refreshed) return NOTHING;
  const everyMs = refreshed ? REFRESH_MS : route.repeatSeconds * 1000 || DEFAULT_REPEAT_MS;
  return at(lastMs(delivery) + everyMs, nowMs, AlertNotice.REMINDER);
}

/** Were it no longer refreshed there, it would be taken to be over. */
function isKept({ delivery, refreshed }: NoticeInput): boolean {
  return refreshed && delivery?.told === true && !delivery.toldResolved;
}

/** Nothing is known of it there: never told, or told that it is over, and it flared up again. */
function isUntold(delivery: AlertDelivery): boolean {
  const wasGivenUp = delivery.state === AlertDeliveryState.GIVEN_UP;
  return delivery.toldResolved || (!delivery.told && !wasGivenUp);
}

function opening({ incident, quietUntilMs, nowMs }: NoticeInput, { waitSeconds }: AlertRoute): NextNotice {
  const waitedMs = timeMs(incident.openedAt) + waitSeconds * 1000;
  return at(Math.max(waitedMs, quietUntilMs), nowMs, AlertNotice.OPENED);
}

function at(dueMs: number, nowMs: number, notice: AlertNotice): NextNotice {
  return dueMs <= nowMs ? { kind: "tell", notice } : { kind: "wait", ms: dueMs - nowMs };
}

/** When the newest notice came to its end. */
function lastMs({ deliveredAt, nextAttemptAt, queuedAt }: AlertDelivery): number {
  return Math.max(timeMs(deliveredAt), timeMs(nextAttemptAt), timeMs(queuedAt));
}

function timeMs(at: Incident["openedAt"]): number {
  return at === undefined ? 0 : timestampMs(at);
}
