import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { StoredDocument } from "@kedge/bus";
import { type Clock, jitter, type Logger, type ReconcileResult, Reconciler } from "@kedge/kernel";
import {
  type AlertDelivery,
  type AlertDeliverySchema,
  AlertDeliveryState,
  AlertNotice,
  type AlertReceiver,
  type AlertRoute,
  type Incident,
} from "@kedge/proto";
import type { EventRecorder } from "../events/recorder.ts";
import type { Stores } from "../stores.ts";
import { createResolver } from "./addresses.ts";
import { deliver, isRefreshed } from "./deliver.ts";
import { begun, delivered, ended, failed, GIVE_UP_MS, noticeId, queued } from "./delivery-record.ts";
import { graphLinks } from "./graph-links.ts";
import type { PostOutcome } from "./http-post.ts";
import { endMs, routesOf, silenceOf } from "./matching.ts";
import { type NextNotice, nextNotice } from "./next-notice.ts";
import { RateLimit } from "./rate-limit.ts";
import { RecentOpenings } from "./recent-openings.ts";
import { alertPolicy } from "./stored-policy.ts";

/** How an attempt, or a notice, ended; a label of metrics. */
export type DeliveryOutcome = "delivered" | "failed" | "given_up";

/** What lanes work with. */
export interface LaneOptions {
  readonly stores: Stores;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: EventRecorder;
  /** host:port of the controller's HTTP server. */
  readonly httpAddress: () => string;
  readonly onOutcome: (receiver: string, outcome: DeliveryOutcome) => void;
}

type Stored = StoredDocument<typeof AlertDeliverySchema>;

/** Requests to one receiver at once. */
const CONCURRENCY = 4;
const PER_MINUTE = 60;
const PER_MINUTE_REFRESHED = 1_200;
/** Waits longer than this are looked at again in between, as clocks may be set. */
const MAX_WAIT_MS = 600_000;

/**
 * Tells one receiver of incidents. Keys are incidents; what was told is stored, so that every look does what is still
 * missing. Each receiver has its own lane: one that is slow or dead holds up nobody else.
 */
export class ReceiverLane {
  readonly #name: string;
  readonly #options: LaneOptions;
  readonly #loop: Reconciler;
  readonly #openings: RecentOpenings;
  readonly #resolve = createResolver();
  #limit: RateLimit;
  #perMinute: number;
  /** The receiver asked to be left alone until then (monotonic). */
  #pausedUntilMs = 0;

  constructor(receiver: AlertReceiver, options: LaneOptions) {
    const { clock, logger, stores } = options;
    this.#name = receiver.name;
    this.#options = options;
    this.#openings = new RecentOpenings(stores, receiver.name);
    this.#perMinute = perMinute(receiver);
    this.#limit = new RateLimit(this.#perMinute, clock.monotonic());
    const reconcile = (key: string, signal: AbortSignal) => this.#reconcile(key, signal);
    this.#loop = new Reconciler({ name: `alerts/${this.#name}`, clock, logger, concurrency: CONCURRENCY, reconcile });
    this.#loop.start();
  }

  /** Looks at an incident. */
  add(incidentId: string): void {
    this.#loop.add(incidentId);
  }

  /** Gives up requests under way; the next term repeats them. */
  stop(): Promise<void> {
    return this.#loop.stop();
  }

  async #reconcile(incidentId: string, signal: AbortSignal): Promise<ReconcileResult | undefined> {
    const { stores, clock } = this.#options;
    const incident = stores.incidents.get(incidentId)?.value;
    const stored = stores.alerts.get(this.#key(incidentId));
    if (incident === undefined) {
      if (stored !== undefined) await stores.alerts.delete(this.#key(incidentId), stored.revision);
      return undefined;
    }
    const receiver = alertPolicy(stores).receivers.find(({ name }) => name === this.#name);
    if (receiver === undefined) return undefined;
    const next = this.#next(incident, stored, receiver);
    const nowMs = clock.now();
    switch (next.kind) {
      case "nothing":
        return undefined;
      case "wait":
        return { requeueAfterMs: Math.min(Math.max(next.ms, 1), MAX_WAIT_MS) };
      case "drop":
        if (stored !== undefined) {
          const { DROPPED } = AlertDeliveryState;
          await this.#store(stored, ended(stored.value, DROPPED, { error: next.why, nowMs }));
        }
        return { requeueAfterMs: 0 };
      case "tell": {
        if (next.notice === AlertNotice.OPENED || next.notice === AlertNotice.ESCALATED) {
          this.#openings.note(incident, nowMs);
        }
        const names = { incidentId, receiver: this.#name };
        const written = await this.#store(stored, queued(stored?.value, names, next.notice, nowMs));
        return this.#attempt(written, { incident, receiver, signal });
      }
      case "send":
        return stored === undefined ? undefined : this.#attempt(stored, { incident, receiver, signal });
      default:
        return next satisfies never;
    }
  }

  #next(incident: Incident, stored: Stored | undefined, receiver: AlertReceiver): NextNotice {
    const policy = alertPolicy(this.#options.stores);
    const nowMs = this.#options.clock.now();
    const silence = silenceOf(policy, incident, nowMs);
    const route: AlertRoute | undefined = routesOf(policy, incident).get(this.#name);
    const minIntervalMs = (route?.minIntervalSeconds ?? 0) * 1000;
    return nextNotice({
      incident,
      delivery: stored?.value,
      route,
      silentUntilMs: silence && endMs(silence),
      quietUntilMs: this.#openings.quietUntilMs(incident, minIntervalMs),
      policySinceMs: policy.updatedAt === undefined ? 0 : timestampMs(policy.updatedAt),
      refreshed: isRefreshed(receiver),
      nowMs,
    });
  }

  /** Sends what is stored as pending, unless it is not its time yet. */
  async #attempt(stored: Stored, { incident, receiver, signal }: Attempt): Promise<ReconcileResult | undefined> {
    const { clock } = this.#options;
    const nowMs = clock.now();
    const { nextAttemptAt, queuedAt } = stored.value;
    if (queuedAt !== undefined && nowMs - timestampMs(queuedAt) >= GIVE_UP_MS) return this.#giveUp(stored);
    const dueMs = nextAttemptAt === undefined ? 0 : timestampMs(nextAttemptAt);
    const waitMs = Math.max(dueMs - nowMs, this.#pausedUntilMs - clock.monotonic());
    if (waitMs > 0) return { requeueAfterMs: Math.min(waitMs, MAX_WAIT_MS) };
    const slotMs = this.#takeSlot(receiver);
    if (slotMs > 0) return { requeueAfterMs: slotMs };
    const counted = await this.#store(stored, begun(stored.value, nowMs, jitter()));
    const { notice, number } = counted.value;
    const ownAddress = this.#options.httpAddress();
    const links = graphLinks(this.#options.stores, incident.id, { nowMs, ownAddress });
    const message = { incident, notice, number, id: noticeId(counted.value), links, nowMs };
    const outcome = await deliver(receiver, message, { clock, resolve: this.#resolve, signal });
    if (signal.aborted) return undefined;
    return this.#settle(counted, incident, outcome);
  }

  async #settle(counted: Stored, incident: Incident, outcome: PostOutcome): Promise<ReconcileResult> {
    const { clock, events, onOutcome } = this.#options;
    if (outcome.kind === "taken") {
      onOutcome(this.#name, "delivered");
      await this.#store(counted, delivered(counted.value, incident, clock.now()));
      return { requeueAfterMs: 0 };
    }
    const { error, retryAfterMs = 0 } = outcome;
    onOutcome(this.#name, "failed");
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, clock.monotonic() + retryAfterMs);
    const after = await this.#store(counted, failed(counted.value, error, clock.now() + retryAfterMs));
    if (counted.value.attempts === 1) {
      const message = `cannot tell ${this.#name} of incident ${incident.id}: ${error}; it is tried for 24 h`;
      events.record({ ...this.#event(incident), reason: "AlertFailed", message });
    }
    const { nextAttemptAt } = after.value;
    return { requeueAfterMs: nextAttemptAt === undefined ? 0 : Math.max(0, timestampMs(nextAttemptAt) - clock.now()) };
  }

  async #giveUp(stored: Stored): Promise<ReconcileResult> {
    const { clock, events, onOutcome, stores } = this.#options;
    const { error } = stored.value;
    onOutcome(this.#name, "given_up");
    await this.#store(stored, ended(stored.value, AlertDeliveryState.GIVEN_UP, { error, nowMs: clock.now() }));
    const incident = stores.incidents.get(stored.value.incidentId)?.value;
    const message = `${this.#name} was not told of incident ${stored.value.incidentId} within 24 h: ${error}`;
    if (incident !== undefined) events.record({ ...this.#event(incident), reason: "AlertGivenUp", message });
    return { requeueAfterMs: 0 };
  }

  #event({ id }: Incident) {
    return {
      kind: "incident",
      name: id,
      warning: true,
      fields: { receiver: this.#name },
    } as const;
  }

  #takeSlot(receiver: AlertReceiver): number {
    const nowMs = this.#options.clock.monotonic();
    if (perMinute(receiver) !== this.#perMinute) {
      this.#perMinute = perMinute(receiver);
      this.#limit = new RateLimit(this.#perMinute, nowMs);
    }
    return this.#limit.take(nowMs);
  }

  #store(before: Stored | undefined, value: AlertDelivery): Promise<Stored> {
    const { alerts } = this.#options.stores;
    const key = this.#key(value.incidentId);
    return before === undefined ? alerts.create(key, value) : alerts.update(key, value, before.revision);
  }

  #key(incidentId: string): string {
    return `${incidentId}.${this.#name}`;
  }
}

interface Attempt {
  readonly incident: Incident;
  readonly receiver: AlertReceiver;
  readonly signal: AbortSignal;
}

function perMinute(receiver: AlertReceiver): number {
  return receiver.maxPerMinute || (isRefreshed(receiver) ? PER_MINUTE_REFRESHED : PER_MINUTE);
}
