import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { newId, silentLogger, systemClock } from "@kedge/kernel";
import {
  type AlertDelivery,
  AlertDeliveryState,
  AlertPolicySchema,
  type AlertReceiverSchema,
  type AlertRouteSchema,
  AlertSilenceSchema,
  type Incident,
  IncidentSchema,
  IncidentSeverity,
  IncidentState,
} from "@kedge/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { eventually } from "../testing/eventually.ts";
import { startTestStores, type TestStores } from "../testing/test-stores.ts";
import { AlertTerm } from "./alert-term.ts";
import type { DeliveryOutcome } from "./receiver-lane.ts";
import { changeAlertPolicy } from "./stored-policy.ts";
import type { IncidentFields } from "./testing/incident-fields.ts";
import { type Received, type ReceiverServer, startReceiver } from "./testing/receiver-server.ts";

const { DELIVERED, PENDING, GIVEN_UP, DROPPED } = AlertDeliveryState;
const DAY_MS = 86_400_000;

let world: TestStores;
let receiver: ReceiverServer;
let term: AlertTerm | undefined;
let skewMs = 0;
let outcomes: [string, DeliveryOutcome][] = [];

/** Time that can be put forward; what waits for it then comes at once. */
const clock = {
  ...systemClock,
  now: () => systemClock.now() + skewMs,
  monotonic: () => systemClock.monotonic() + skewMs,
  after: (ms: number, callback: () => void) => {
    const dueMs = clock.monotonic() + ms;
    let cancel = (): void => {};
    const look = (): void => {
      if (clock.monotonic() >= dueMs) callback();
      else cancel = systemClock.after(Math.min(10, ms), look);
    };
    look();
    return () => cancel();
  },
};

beforeEach(async () => {
  [world, receiver] = await Promise.all([startTestStores(), startReceiver()]);
  [skewMs, outcomes] = [0, []];
});
afterEach(async () => {
  await term?.stop();
  await Promise.all([world.stop(), receiver.stop()]);
});

function startTerm(stores = world.stores): void {
  const { events } = world;
  const httpAddress = () => "127.0.0.1:7462";
  const onOutcome = (name: string, outcome: DeliveryOutcome) => outcomes.push([name, outcome]);
  term = new AlertTerm({ stores, clock, logger: silentLogger, events, httpAddress, onOutcome });
  term.start();
}

type Receiver = MessageInitShape<typeof AlertReceiverSchema>;
type Route = MessageInitShape<typeof AlertRouteSchema>;

const webhook = (name: string, url = receiver.url): Receiver => {
  return { name, allowPrivate: true, kind: { case: "webhook", value: { url } } };
};

/** Sets a policy in which every receiver is told of everything, or as the route says. */
async function setPolicy(receivers: readonly Receiver[], route: Route = {}): Promise<void> {
  const names = receivers.map(({ name = "" }) => name);
  const routes = [{ receivers: names, ...route }];
  await changeAlertPolicy(world.stores, () => create(AlertPolicySchema, { receivers: [...receivers], routes }));
}

async function open(more: IncidentFields = {}): Promise<Incident> {
  const id = newId(clock);
  const at = timestampFromMs(clock.now());
  const rest = { severity: IncidentSeverity.WARNING, subject: { deployment: "vad" }, summary: "Errors", openedAt: at };
  const incident = create(IncidentSchema, { id, state: IncidentState.OPEN, ...rest, ...more });
  await world.stores.incidents.create(id, incident);
  return incident;
}

async function change(id: string, more: Partial<Incident>): Promise<void> {
  const stored = world.stores.incidents.get(id);
  if (stored === undefined) throw new Error("no such incident");
  await world.stores.incidents.update(id, { ...stored.value, ...more }, stored.revision);
}

const close = (id: string) =>
  change(id, { state: IncidentState.RESOLVED, resolvedAt: timestampFromMs(clock.now()), resolution: "normal" });

const delivery = (id: string, name = "a"): AlertDelivery | undefined => world.stores.alerts.get(`${id}.${name}`)?.value;

const until = (id: string, state: AlertDeliveryState, number = 1, name = "a") =>
  eventually(
    () => delivery(id, name),
    (seen) => seen?.state === state && seen.number === number,
  );

const told = ({ headers, body }: Received) => [headers["webhook-id"], JSON.parse(body).type];

test("an incident is told once, its changes are not told again, and its end is", async () => {
  await setPolicy([webhook("a")]);
  startTerm();
  const { id } = await open();
  await until(id, DELIVERED);
  for (let i = 1; i <= 3; i++) await change(id, { repeats: i, lastSeenAt: timestampFromMs(clock.now()) });
  await close(id);
  await until(id, DELIVERED, 2);
  expect(receiver.received.map(told)).toEqual([
    [`${id}.a.1`, "incident.opened"],
    [`${id}.a.2`, "incident.resolved"],
  ]);
  expect(outcomes).toEqual([
    ["a", "delivered"],
    ["a", "delivered"],
  ]);
});

test("killed between the sending and the storing, the next term sends it again, under the same id, and then no more", async () => {
  await setPolicy([webhook("a")]);
  let stopped: Promise<void> | undefined;
  receiver.answer = () => {
    // The request is here; nothing of its success will be stored.
    stopped ??= term?.stop();
    return { status: 200 };
  };
  startTerm();
  const { id } = await open();
  await eventually(
    () => stopped !== undefined,
    (isStopped) => isStopped,
  );
  await stopped;
  expect(delivery(id)).toMatchObject({ state: PENDING, attempts: 1 });
  startTerm();
  expect(await until(id, DELIVERED)).toMatchObject({ attempts: 2 });
  await term?.stop();
  startTerm();
  const other = await open();
  await until(other.id, DELIVERED);
  expect(receiver.received.map(told)).toEqual([
    [`${id}.a.1`, "incident.opened"],
    [`${id}.a.1`, "incident.opened"],
    [`${other.id}.a.1`, "incident.opened"],
  ]);
});

test("what happened while no controller ran is told by the next one", async () => {
  await setPolicy([webhook("a")]);
  const still = await open();
  const over = await open();
  await close(over.id);
  startTerm();
  await until(still.id, DELIVERED);
  await until(over.id, DELIVERED);
  const all = Object.fromEntries(receiver.received.map(told));
  expect(all).toEqual({ [`${still.id}.a.1`]: "incident.opened", [`${over.id}.a.1`]: "incident.resolved" });
});

test("incidents that were over when the policy was set are not told", async () => {
  const old = await open();
  await close(old.id);
  const policy = { receivers: [webhook("a")], routes: [{ receivers: ["a"] }] };
  skewMs = 1;
  const updatedAt = timestampFromMs(clock.now());
  await changeAlertPolicy(world.stores, () => create(AlertPolicySchema, { ...policy, updatedAt }));
  startTerm();
  const { id } = await open();
  await until(id, DELIVERED);
  expect(receiver.received.map(told)).toEqual([[`${id}.a.1`, "incident.opened"]]);
});

test("neither a dead receiver nor one that never answers holds up the others", async () => {
  const silent = await startReceiver();
  silent.answer = () => undefined;
  await setPolicy([webhook("dead", "http://127.0.0.1:1/"), webhook("silent", silent.url), webhook("a")]);
  startTerm();
  const opened = await Promise.all(Array.from({ length: 12 }, () => open()));
  for (const { id } of opened) await until(id, DELIVERED);
  for (const { id } of opened) {
    expect(delivery(id, "silent")?.state).not.toBe(DELIVERED);
    const seen = await eventually(
      () => delivery(id, "dead"),
      (one) => (one?.error ?? "") !== "",
    );
    expect(seen).toMatchObject({ state: PENDING, error: "cannot be reached: ECONNREFUSED" });
  }
  await term?.stop();
  await silent.stop();
});

test("a receiver that asks to be left alone is, as long as it asks, with everything", async () => {
  await setPolicy([webhook("a")]);
  receiver.answer = () => ({ status: 429, headers: { "retry-after": "3000" } });
  startTerm();
  const first = await open();
  const refused = await eventually(
    () => delivery(first.id),
    (seen) => seen?.error === "HTTP 429 Too Many Requests",
  );
  const waitMs = Number(refused?.nextAttemptAt?.seconds ?? 0n) * 1000 - clock.now();
  expect(waitMs).toBeGreaterThan(2_900_000);
  receiver.answer = () => ({ status: 200 });
  const second = await open();
  await until(second.id, PENDING);
  // A new term has forgotten that everything is to wait, but not that the first one is.
  await term?.stop();
  startTerm();
  await until(second.id, DELIVERED);
  expect(delivery(first.id)).toMatchObject({ state: PENDING, attempts: 1 });
  skewMs = 3_000_000;
  await until(first.id, DELIVERED);
  expect(receiver.received.map(told).map(([id]) => id)).toEqual([
    `${first.id}.a.1`,
    `${second.id}.a.1`,
    `${first.id}.a.1`,
  ]);
});

test("it is tried for a day, then given up, and people are told", async () => {
  await setPolicy([webhook("a")]);
  receiver.answer = () => ({ status: 500 });
  startTerm();
  const { id } = await open();
  await eventually(
    () => delivery(id)?.attempts ?? 0,
    (attempts) => attempts > 0,
  );
  skewMs = DAY_MS + 1;
  expect(await until(id, GIVEN_UP)).toMatchObject({ error: "HTTP 500 Internal Server Error", told: false });
  expect(outcomes.at(-1)).toEqual(["a", "given_up"]);
  receiver.answer = () => ({ status: 200 });
  skewMs += 4 * 3_600_000;
  await until(id, DELIVERED, 2);
  expect(told(receiver.received.at(-1) as Received)).toEqual([`${id}.a.2`, "incident.reminder"]);
});

test("an open incident is told again after the route's time, until somebody takes note of it", async () => {
  await setPolicy([webhook("a")], { repeatSeconds: 600 });
  startTerm();
  const { id } = await open();
  await until(id, DELIVERED);
  skewMs = 600_000;
  await until(id, DELIVERED, 2);
  await change(id, { acknowledgedBy: "ann" });
  skewMs = 6_000_000;
  await change(id, { severity: IncidentSeverity.CRITICAL });
  await until(id, DELIVERED, 3);
  expect(receiver.received.map(told).map(([, type]) => type)).toEqual([
    "incident.opened",
    "incident.reminder",
    "incident.escalated",
  ]);
});

test("two openings about one deployment are told apart in time, a graver one at once", async () => {
  await setPolicy([webhook("a")], { minIntervalSeconds: 300 });
  startTerm();
  const [first, second] = await Promise.all([open(), open()]);
  const elsewhere = await open({ subject: { deployment: "asr" } });
  const graver = await open({ severity: IncidentSeverity.CRITICAL });
  await until(elsewhere.id, DELIVERED);
  await until(graver.id, DELIVERED);
  expect([first.id, second.id].filter((id) => delivery(id) !== undefined)).toHaveLength(1);
  await term?.stop();
  startTerm();
  skewMs = 300_001;
  await until(first.id, DELIVERED);
  await until(second.id, DELIVERED);
  expect(new Set(receiver.received.map(told).map(([id]) => id)).size).toBe(4);
});

test("Alertmanager is told every minute while it is open, then that it is over; one member that lives is enough", async () => {
  const urls = ["http://127.0.0.1:1", `http://127.0.0.1:${receiver.port}/`];
  await setPolicy([{ name: "a", allowPrivate: true, kind: { case: "alertmanager", value: { urls } } }]);
  startTerm();
  const { id } = await open();
  await until(id, DELIVERED);
  skewMs = 61_000;
  await until(id, DELIVERED, 2);
  await close(id);
  await until(id, DELIVERED, 3);
  const alerts = receiver.received.map(({ path, body }) => ({ path, ...JSON.parse(body)[0] }));
  expect(alerts.map(({ path, labels }) => [path, labels.incident])).toEqual(
    Array.from({ length: 3 }, () => ["/api/v2/alerts", id]),
  );
  const [opened, repeated, over] = alerts.map(({ endsAt }) => Date.parse(endsAt));
  expect(repeated).toBeGreaterThanOrEqual((opened ?? 0) + 60_000);
  expect(over).toBeLessThanOrEqual(clock.now());
});

test("a silence is kept; a receiver that leaves the policy is forgotten, and so are incidents", async () => {
  await setPolicy([webhook("a"), webhook("b")]);
  const endsAt = timestampFromMs(clock.now() + 60_000);
  const quiet = create(AlertSilenceSchema, { id: "s", match: { deployments: ["vad"] }, endsAt });
  await changeAlertPolicy(world.stores, (policy) => create(AlertPolicySchema, { ...policy, silences: [quiet] }));
  startTerm();
  const { id } = await open();
  const loud = await open({ subject: { deployment: "asr" } });
  await until(loud.id, DELIVERED);
  expect(delivery(id)).toBeUndefined();
  skewMs = 61_000;
  await until(id, DELIVERED);
  await until(id, DELIVERED, 1, "b");
  await setPolicy([webhook("a")]);
  await eventually(
    () => delivery(id, "b"),
    (seen) => seen === undefined,
  );
  await world.stores.incidents.delete(id);
  await eventually(
    () => delivery(id),
    (seen) => seen === undefined,
  );
  expect(delivery(loud.id)).toMatchObject({ state: DELIVERED });
});

test("a route that is taken away takes with it what waits", async () => {
  await setPolicy([webhook("a")]);
  receiver.answer = () => ({ status: 503 });
  startTerm();
  const { id } = await open();
  await until(id, PENDING);
  await setPolicy([webhook("a")], { match: { deployments: ["asr"] } });
  expect(await until(id, DROPPED)).toMatchObject({ told: false });
});
