import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { systemClock } from "@kedge/kernel";
import { IncidentKind, IncidentSchema, IncidentSeverity, IncidentState } from "@kedge/proto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { startTestStores, type TestStores } from "../testing/test-stores.ts";
import type { Condition } from "./condition.ts";
import type { Finding } from "./finding.ts";
import { collectOldIncidents, INCIDENT_RETENTION } from "./incident-retention.ts";
import { Incidents } from "./incidents.ts";

let world: TestStores;
let nowMs = 1_700_000_000_000;
let condition: Condition;
let incidents: Incidents;
let added: string[];
const clock = { ...systemClock, now: () => nowMs };

beforeAll(async () => {
  world = await startTestStores();
});
afterAll(() => world.stop());
beforeEach(() => {
  condition = { is: "bad" };
  incidents = leader();
});

/** What a controller that takes over starts with. */
function leader(): Incidents {
  const { stores, events } = world;
  const evidence = { series: [], causes: [] };
  const made = new Incidents({ stores, events, clock, conditionOf: () => condition, evidenceOf: () => evidence });
  // What is stored already, as reading the bucket tells it at a start.
  for (const [id] of stores.incidents.entries()) made.follow(id);
  added = [];
  made.start((key) => added.push(key));
  return made;
}

const finding = (key: string, more: Partial<Finding> = {}): Finding => ({
  ...{ key, kind: IncidentKind.ANOMALY, severity: IncidentSeverity.WARNING, subject: { deployment: "vad" } },
  ...{ summary: "it is bad", reason: "7, usually 1", beganAtMs: nowMs, isAlarm: true },
  ...more,
});

const all = (key: string) =>
  [...world.stores.incidents.entries()].map(([, { value }]) => value).filter((i) => i.key === key);

/** A look at a key every ten seconds. */
async function looks(key: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    nowMs += 10_000;
    await incidents.reconcile(key);
  }
}

test("alike findings are one incident that counts them, across another controller's start", async () => {
  incidents.observe(finding("a"));
  expect(added).toEqual(["a"]);
  await incidents.reconcile("a");
  incidents.observe(finding("a"));
  await incidents.reconcile("a");
  incidents = leader();
  incidents.observe(finding("a", { isAlarm: false }));
  await incidents.reconcile("a");
  incidents.observe(finding("a", { severity: IncidentSeverity.CRITICAL }));
  await incidents.reconcile("a");
  expect(all("a")).toMatchObject([{ state: IncidentState.OPEN, repeats: 2, severity: IncidentSeverity.CRITICAL }]);
});

test("it is over after it was normal for long enough in one piece, and opened again when it flares up soon", async () => {
  incidents.observe(finding("b"));
  await incidents.reconcile("b");
  condition = { is: "normal", calmMs: 60_000, how: "as usual" };
  await looks("b", 5);
  condition = { is: "bad" };
  await looks("b", 1);
  condition = { is: "normal", calmMs: 60_000, how: "as usual" };
  await looks("b", 6);
  expect(all("b")[0]?.state).toBe(IncidentState.OPEN);
  await looks("b", 1);
  const [over] = all("b");
  expect(over).toMatchObject({ state: IncidentState.RESOLVED, resolution: "as usual", resolvedBy: "" });
  incidents.observe(finding("b", { beganAtMs: nowMs - 60_000 }));
  expect(await incidents.reconcile("b")).toBeUndefined();
  expect(all("b")).toMatchObject([{ state: IncidentState.RESOLVED }]);
  nowMs += 600_000;
  incidents.observe(finding("b"));
  await incidents.reconcile("b");
  expect(all("b")).toMatchObject([{ id: over?.id, state: IncidentState.OPEN, repeats: 1, resolution: "" }]);
  incidents.over("b", "somebody knows");
  await incidents.reconcile("b");
  nowMs += 3_600_000;
  incidents.observe(finding("b"));
  await incidents.reconcile("b");
  expect(
    all("b")
      .map(({ state }) => state)
      .toSorted(),
  ).toEqual([IncidentState.OPEN, IncidentState.RESOLVED]);
});

test("what one node shows becomes the deployment's when all of it shows it, not the other way round", async () => {
  incidents.observe(finding("c", { subject: { deployment: "vad", nodeId: "n1" }, summary: "on n1" }));
  await incidents.reconcile("c");
  expect(all("c")).toMatchObject([{ subject: { nodeId: "n1" }, summary: "on n1" }]);
  incidents.observe(finding("c"));
  await incidents.reconcile("c");
  incidents.observe(finding("c", { subject: { deployment: "vad", nodeId: "n2" }, summary: "on n2" }));
  await incidents.reconcile("c");
  expect(all("c")).toMatchObject([{ subject: { nodeId: "" }, summary: "it is bad", repeats: 2 }]);
});

test("a lost race is tried again with everything that came meanwhile, and nothing counts twice", async () => {
  incidents.observe(finding("d"));
  await incidents.reconcile("d");
  const [known] = all("d");
  const stored = world.stores.incidents.get(known?.id ?? "");
  if (stored === undefined) throw new Error("it is not there");
  incidents.observe(finding("d"));
  const noted = { ...stored.value, acknowledgedBy: "ann" };
  const write = world.stores.incidents.update(noted.id, noted, stored.revision);
  const lost = incidents.reconcile("d").catch((error: unknown) => error);
  incidents.act("d", [{ atMs: nowMs, what: "did something" }]);
  await write;
  expect(await lost).toMatchObject({ reason: "CONFLICT" });
  for (let i = 0; i < 3; i++) {
    await incidents.reconcile("d");
    incidents.act("d", [{ atMs: nowMs, what: "did something" }]);
  }
  expect(all("d")).toMatchObject([{ repeats: 1, acknowledgedBy: "ann", actions: [{ what: "did something" }] }]);
});

test("without the lease nothing is taken, and hostile findings do no harm", async () => {
  incidents.stop();
  incidents.observe(finding("e"));
  await incidents.reconcile("e");
  expect(all("e")).toEqual([]);
  incidents = leader();
  incidents.observe(finding("e", { beganAtMs: -9e15, reason: "x".repeat(100_000), summary: "y".repeat(100_000) }));
  await incidents.reconcile("e");
  expect(all("e")[0]?.reason).toHaveLength(1_000);
  expect(all("e")[0]?.beganAt?.seconds).toBe(0n);
});

test("of those that are over the newest are kept, for a month", async () => {
  const { incidents: store } = world.stores;
  for (const [id] of [...store.entries()]) await store.delete(id);
  const put = (id: string, state: IncidentState, ageMs: number) =>
    store.create(id, create(IncidentSchema, { id, key: id, state, resolvedAt: timestampFromMs(nowMs - ageMs) }));
  await put("old", IncidentState.RESOLVED, INCIDENT_RETENTION.ageMs + 1);
  await put("open", IncidentState.OPEN, INCIDENT_RETENTION.ageMs + 1);
  await put("young", IncidentState.RESOLVED, INCIDENT_RETENTION.ageMs - 1);
  await collectOldIncidents(world.stores, clock);
  expect([...store.entries()].map(([id]) => id).toSorted()).toEqual(["open", "young"]);
  await Promise.all(
    Array.from({ length: INCIDENT_RETENTION.count }, (_, i) =>
      put(`z${String(i).padStart(5, "0")}`, IncidentState.RESOLVED, 1),
    ),
  );
  await collectOldIncidents(world.stores, clock);
  expect(store.size).toBe(INCIDENT_RETENTION.count + 1);
  expect(store.get("young")).toBeUndefined();
});
