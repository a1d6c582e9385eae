import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type AlertDelivery,
  AlertDeliveryState,
  AlertNotice,
  AlertRouteSchema,
  type Incident,
  IncidentSchema,
  IncidentSeverity,
  IncidentState,
} from "@kedge/proto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { begun, delivered, ended, failed, noticeId, queued } from "./delivery-record.ts";
import { type NoticeInput, nextNotice } from "./next-notice.ts";
import type { IncidentFields } from "./testing/incident-fields.ts";

const { OPENED, ESCALATED, REMINDER, RESOLVED } = AlertNotice;
const { WARNING, CRITICAL } = IncidentSeverity;
const NAMES = { incidentId: "01ke1vj5z8zzzzzzzzzzzzzzzz", receiver: "r" };
const MINUTE = 60_000;
const START = Date.UTC(2026, 0, 1);

function incidentOf(more: IncidentFields = {}): Incident {
  const openedAt = timestampFromMs(START);
  return create(IncidentSchema, { state: IncidentState.OPEN, severity: WARNING, openedAt, ...more });
}

const overAt = (ms: number) => incidentOf({ state: IncidentState.RESOLVED, resolvedAt: timestampFromMs(ms) });

function look(nowMs: number, more: Partial<NoticeInput> = {}) {
  const route = create(AlertRouteSchema, { receivers: ["r"] });
  const rest = { silentUntilMs: undefined, quietUntilMs: 0, policySinceMs: 0, refreshed: false };
  return nextNotice({ incident: incidentOf(), delivery: undefined, route, ...rest, nowMs, ...more });
}

const wasTold = (notice: AlertNotice, nowMs: number, before?: AlertDelivery): AlertDelivery =>
  delivered(queued(before, NAMES, notice, nowMs), incidentOf(), nowMs);

describe("while an incident is open", () => {
  test("it is told at once, once", () => {
    expect(look(START)).toEqual({ kind: "tell", notice: OPENED });
    const delivery = queued(undefined, NAMES, OPENED, START);
    expect(look(START, { delivery })).toEqual({ kind: "send" });
    expect(look(START + MINUTE, { delivery: wasTold(OPENED, START) })).toEqual({ kind: "wait", ms: 239 * MINUTE });
  });

  test("it is told again after the route's time, unless somebody took note", () => {
    const route = create(AlertRouteSchema, { receivers: ["r"], repeatSeconds: 600 });
    const delivery = wasTold(OPENED, START);
    expect(look(START + 10 * MINUTE, { delivery, route })).toEqual({ kind: "tell", notice: REMINDER });
    const incident = incidentOf({ acknowledgedBy: "ann" });
    expect(look(START + 10 * MINUTE, { delivery, route, incident })).toEqual({ kind: "nothing" });
  });

  test("it is told again when it gets graver", () => {
    const incident = incidentOf({ severity: CRITICAL });
    const delivery = wasTold(OPENED, START);
    expect(look(START, { incident, delivery })).toEqual({ kind: "tell", notice: ESCALATED });
  });

  test("an opening waits for the route's time and for the one before it", () => {
    const route = create(AlertRouteSchema, { receivers: ["r"], waitSeconds: 30 });
    expect(look(START, { route })).toEqual({ kind: "wait", ms: 30_000 });
    expect(look(START, { quietUntilMs: START + MINUTE })).toEqual({ kind: "wait", ms: MINUTE });
  });

  test("a receiver that forgets is told every minute, also when silenced or acknowledged", () => {
    const delivery = wasTold(OPENED, START);
    const more = { delivery, refreshed: true, incident: incidentOf({ acknowledgedBy: "ann" }) };
    expect(look(START + 20_000, more)).toEqual({ kind: "wait", ms: 40_000 });
    const silenced = { ...more, silentUntilMs: START + 60 * MINUTE };
    expect(look(START + MINUTE, silenced)).toEqual({ kind: "tell", notice: REMINDER });
  });

  test("a silence holds it back and drops what waits; it is told when the silence ends", () => {
    const silentUntilMs = START + 5 * MINUTE;
    expect(look(START, { silentUntilMs })).toEqual({ kind: "wait", ms: 5 * MINUTE });
    const delivery = queued(undefined, NAMES, OPENED, START);
    expect(look(START, { silentUntilMs, delivery })).toEqual({ kind: "drop", why: "silenced" });
    const dropped = ended(delivery, AlertDeliveryState.DROPPED, { error: "silenced", nowMs: START });
    expect(look(START + 5 * MINUTE, { delivery: dropped })).toEqual({ kind: "tell", notice: OPENED });
  });

  test("what could not be told for a day is told again after the route's time, as a reminder", () => {
    const pending = queued(undefined, NAMES, OPENED, START);
    const day = START + 24 * 60 * MINUTE;
    const delivery = ended(pending, AlertDeliveryState.GIVEN_UP, { error: "dead", nowMs: day });
    expect(look(day, { delivery })).toEqual({ kind: "wait", ms: 240 * MINUTE });
    expect(look(day + 240 * MINUTE, { delivery })).toEqual({ kind: "tell", notice: REMINDER });
  });

  test("without a route nobody is told, and what waits is dropped", () => {
    expect(look(START, { route: undefined })).toEqual({ kind: "nothing" });
    const delivery = queued(undefined, NAMES, OPENED, START);
    expect(look(START, { route: undefined, delivery })).toMatchObject({ kind: "drop" });
  });
});

describe("when an incident is over", () => {
  const incident = overAt(START + MINUTE);
  const nowMs = START + 2 * MINUTE;

  test("whoever was told of it is told, once, silenced or not, with a route or without", () => {
    const delivery = wasTold(OPENED, START);
    for (const more of [{}, { route: undefined }, { silentUntilMs: nowMs + MINUTE }]) {
      expect(look(nowMs, { incident, delivery, ...more })).toEqual({ kind: "tell", notice: RESOLVED });
    }
    expect(look(nowMs, { incident, delivery: wasTold(RESOLVED, nowMs, delivery) })).toEqual({ kind: "nothing" });
  });

  test("an opening that still waits becomes an end", () => {
    const delivery = queued(undefined, NAMES, OPENED, START);
    expect(look(nowMs, { incident, delivery })).toEqual({ kind: "tell", notice: RESOLVED });
    expect(look(nowMs, { incident, delivery: queued(delivery, NAMES, RESOLVED, nowMs) })).toEqual({ kind: "send" });
  });

  test("one that was missed is told if it is recent, newer than the policy and lasted long enough", () => {
    const tell = { kind: "tell", notice: RESOLVED };
    expect(look(nowMs, { incident })).toEqual(tell);
    expect(look(nowMs, { incident, policySinceMs: nowMs })).toEqual({ kind: "nothing" });
    expect(look(START + 62 * MINUTE, { incident })).toEqual({ kind: "nothing" });
    const route = create(AlertRouteSchema, { receivers: ["r"], waitSeconds: 61 });
    expect(look(nowMs, { incident, route })).toEqual({ kind: "nothing" });
    expect(look(nowMs, { incident, silentUntilMs: nowMs + 1 })).toEqual({ kind: "nothing" });
  });

  test("when it flares up it is told anew; an end that waits is dropped", () => {
    const told = wasTold(RESOLVED, nowMs, wasTold(OPENED, START));
    expect(look(nowMs, { delivery: told })).toEqual({ kind: "tell", notice: OPENED });
    const waiting = queued(wasTold(OPENED, START), NAMES, RESOLVED, nowMs);
    expect(look(nowMs, { delivery: waiting })).toEqual({ kind: "drop", why: "it flared up again" });
  });
});

describe("the record", () => {
  test("an attempt is counted before it is made, with the time of the next", () => {
    let delivery = queued(undefined, NAMES, OPENED, START);
    const waits: number[] = [];
    for (let i = 0; i < 12; i++) {
      delivery = begun(delivery, START, 1);
      waits.push(timestampMs(delivery.nextAttemptAt ?? timestampFromMs(0)) - START);
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300].map((s) => s * 1000));
    expect(delivery.attempts).toBe(12);
    expect(noticeId(delivery)).toBe("01ke1vj5z8zzzzzzzzzzzzzzzz.r.1");
    const asked = failed(delivery, "HTTP 429", START + 3_600_000);
    expect(timestampMs(asked.nextAttemptAt ?? timestampFromMs(0))).toBe(START + 3_600_000);
  });
});

describe("a receiver and an incident, whatever happens", () => {
  type Happening =
    | "open"
    | "over"
    | "graver"
    | "silence"
    | "speak"
    | "unroute"
    | "route"
    | "take"
    | "fail"
    | "crash"
    | "wait";
  const happenings = fc.array(
    fc.constantFrom<Happening>(
      "open",
      "over",
      "graver",
      "silence",
      "speak",
      "unroute",
      "route",
      "take",
      "fail",
      "crash",
      "wait",
    ),
    { maxLength: 60 },
  );

  test("no id is used for two notices, and in the end the receiver knows how it stands", () => {
    fc.assert(
      fc.property(happenings, fc.boolean(), (all, refreshed) => {
        const world = new World(refreshed);
        for (const one of all) world.happen(one);
        for (const one of ["speak", "route", "wait"] as const) world.happen(one);
        for (let i = 0; i < 4; i++) world.happen("take");
        const { delivery, incident, sent } = world;
        const notices = new Map<string, AlertNotice>();
        for (const { id, notice } of sent) {
          expect(notices.get(id) ?? notice).toBe(notice);
          notices.set(id, notice);
        }
        if (incident.state === IncidentState.OPEN) {
          expect(delivery).toMatchObject({ told: true, toldResolved: false });
          expect(delivery?.toldSeverity).toBeGreaterThanOrEqual(incident.severity);
        } else if (delivery?.told) expect(delivery.toldResolved).toBe(true);
        // Nothing more is due.
        world.happen("take");
        expect(world.sent).toHaveLength(sent.length);
      }),
      { numRuns: 500 },
    );
  });
});

/** What the lane does, without a lane: looks, stores, sends; a crash comes between the sending and the storing. */
class World {
  incident = incidentOf();
  delivery: AlertDelivery | undefined;
  readonly sent: { readonly id: string; readonly notice: AlertNotice }[] = [];
  readonly #refreshed: boolean;
  #nowMs = START;
  #isSilent = false;
  #isRouted = true;

  constructor(refreshed: boolean) {
    this.#refreshed = refreshed;
  }

  happen(what: string): void {
    this.#nowMs += 1_000;
    const now = timestampFromMs(this.#nowMs);
    if (what === "open") this.incident = incidentOf({ openedAt: now, severity: this.incident.severity });
    else if (what === "over") {
      this.incident = create(IncidentSchema, { ...this.incident, state: IncidentState.RESOLVED, resolvedAt: now });
    } else if (what === "graver") this.incident = create(IncidentSchema, { ...this.incident, severity: CRITICAL });
    else if (what === "silence" || what === "speak") this.#isSilent = what === "silence";
    else if (what === "unroute" || what === "route") this.#isRouted = what === "route";
    else if (what === "wait") this.#nowMs += 5 * MINUTE;
    else this.#work(what);
  }

  #work(how: string): void {
    const next = look(this.#nowMs, {
      incident: this.incident,
      delivery: this.delivery,
      route: this.#isRouted ? create(AlertRouteSchema, { receivers: ["r"] }) : undefined,
      silentUntilMs: this.#isSilent ? this.#nowMs + MINUTE : undefined,
      refreshed: this.#refreshed,
    });
    if (next.kind === "drop" && this.delivery !== undefined) {
      this.delivery = ended(this.delivery, AlertDeliveryState.DROPPED, { error: next.why, nowMs: this.#nowMs });
    }
    if (next.kind === "tell") this.delivery = queued(this.delivery, NAMES, next.notice, this.#nowMs);
    if (this.delivery === undefined || (next.kind !== "tell" && next.kind !== "send")) return;
    this.delivery = begun(this.delivery, this.#nowMs, 0);
    if (how === "fail") this.delivery = failed(this.delivery, "dead", 0);
    else this.sent.push({ id: noticeId(this.delivery), notice: this.delivery.notice });
    if (how === "take") this.delivery = delivered(this.delivery, this.incident, this.#nowMs);
  }
}
