import { create } from "@bufbuild/protobuf";
import { publishHeartbeat, publishWindow } from "@kedge/bus";
import {
  HeartbeatSchema,
  type Incident,
  IncidentKind,
  IncidentService,
  IncidentSeverity,
  IncidentState,
  ReplicaState,
  Role,
  RolloutCause,
  SchedulingService,
  WindowSchema,
} from "@kedge/proto";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { ControllerHarness } from "./testing/controller-harness.ts";
import { eventually } from "./testing/eventually.ts";
import { ImageDeployment } from "./testing/image-deployment.ts";
import type { ScriptedAgent, Traffic } from "./testing/scripted-agent.ts";

let harness: ControllerHarness;
let agents: ScriptedAgent[];

beforeAll(async () => {
  harness = await ControllerHarness.start();
  // The clock that is put forward makes nodes fall silent and come back: that is no sickness of theirs.
  const policy = { quarantine: { manualOnly: true } };
  await harness.client(SchedulingService).setSchedulingPolicy({ policy });
  agents = [];
  for (const id of ["edge-1", "edge-2", "edge-3"]) agents.push(await harness.agent(id));
});
afterAll(() => harness.stop());
afterEach(() => {
  for (const agent of agents) Object.assign(agent, { traffic: undefined, replicaState: () => ReplicaState.READY });
});

const everywhere = { scale: { case: "replicasPerNode", value: 1 } } as const;
const calm: Traffic = { requests: 200, errorPercent: () => 0, latencyMs: () => 20 };

async function windows(): Promise<number> {
  const text = await (await fetch(`http://${harness.controller.httpAddress}/metrics`)).text();
  return Number(/^kedge_windows_total (\d+)/m.exec(text)?.[1] ?? 0);
}

/** Lets so many steps of the watch pass: half a step's time at once, then windows of every node. */
async function steps(count: number): Promise<void> {
  for (let i = 0; i < 2 * count; i++) {
    harness.clock.skip(5_000);
    const before = await windows();
    await eventually(windows, (now) => now >= before + 2 * agents.length);
  }
}

/** But for those of requests a second: the clock that is put forward makes these what they are. */
async function incidents(deployment = ""): Promise<Incident[]> {
  const all = (await harness.incidents.listIncidents({ deployment })).incidents;
  return all.filter(({ key }) => !key.endsWith("/traffic"));
}

async function untilIncident(deployment: string, isIt: (incident: Incident) => boolean): Promise<Incident> {
  const seen = await eventually(
    () => incidents(deployment),
    (all) => all.some(isIt),
  );
  return seen.find(isIt) as Incident;
}

test("an unusual response time on one node of three is one incident that names the node first, and is over when it is", async () => {
  const web = new ImageDeployment(harness, "web", {
    ...everywhere,
    strategy: { kind: { case: "allAtOnce", value: {} } },
  });
  await web.apply("img:1");
  await web.rolledOut(1);
  await web.apply("img:2");
  await web.rolledOut(2);
  for (const agent of agents) agent.traffic = calm;
  await steps(40);
  expect(await incidents()).toEqual([]);
  const [, edge2] = agents as [ScriptedAgent, ScriptedAgent, ScriptedAgent];
  edge2.traffic = { ...calm, latencyMs: () => 120 };
  await steps(4);
  const found = await untilIncident("web", ({ kind }) => kind === IncidentKind.ANOMALY);
  expect(await incidents()).toHaveLength(1);
  expect(found).toMatchObject({
    ...{ state: IncidentState.OPEN, key: "anomaly/deployment/web/latency", acknowledgedBy: "" },
    subject: { deployment: "web", revision: 2 },
  });
  expect(found.causes[0]).toMatchObject({ kind: "node", name: "edge-2" });
  expect(found.causes[0]?.reason).toContain("response time is");
  expect(found.causes.map(({ kind, name }) => `${kind} ${name}`)).toContain("change revision 2 of web promoted");
  expect(found.series[0]?.points.length).toBeGreaterThan(30);
  expect(found.series[0]?.limit).toBeGreaterThan(found.series[0]?.usual ?? 0);

  await harness.stopController({ keepNats: true });
  await harness.startController();
  await steps(3);
  const [kept, ...others] = await incidents("web");
  expect(others).toEqual([]);
  expect(kept).toMatchObject({ id: found.id, state: IncidentState.OPEN, repeats: found.repeats });
  expect(kept?.causes[0]).toMatchObject({ kind: "node", name: "edge-2" });
  edge2.traffic = calm;
  await steps(34);
  const over = await untilIncident("web", ({ state }) => state === IncidentState.RESOLVED);
  expect(over).toMatchObject({ id: found.id, resolvedBy: "", resolution: expect.stringContaining("as usual again") });
  expect(await incidents("web")).toHaveLength(1);
});

test("a bad promotion is brought back while it is watched, and the incident says what was done", async () => {
  const web = new ImageDeployment(harness, "watched", {
    ...everywhere,
    strategy: { kind: { case: "allAtOnce", value: {} } },
    analysis: { watchSeconds: 600 },
  });
  await web.apply("img:1");
  await web.rolledOut(1);
  await web.apply("img:2");
  await web.rolledOut(2);
  for (const agent of agents) agent.traffic = { ...calm, errorPercent: (revision) => (revision === 2 ? 20 : 0) };
  const live = await web.rolledOut(1);
  expect(live.rollout).toMatchObject({ cause: RolloutCause.INCIDENT, returning: true, fromRevision: 2 });
  const burn = await untilIncident("watched", ({ actions }) => actions.length > 1);
  expect(burn).toMatchObject({
    ...{ kind: IncidentKind.BURN_RATE, severity: IncidentSeverity.CRITICAL, subject: { revision: 2 } },
    actions: [{ what: "began to bring revision 1 back" }, { what: "brought revision 1 back" }],
  });
  expect(burn.causes.map(({ kind, name }) => `${kind} ${name}`)).toContain("change revision 2 of watched promoted");
  expect(await incidents("watched")).toHaveLength(1);
});

test("replicas that fail again and again, a rollout that is taken back and a lost node are one each", async () => {
  const bad = new ImageDeployment(harness, "bad", {
    ...everywhere,
    strategy: { kind: { case: "allAtOnce", value: {} } },
  });
  await bad.apply("img:1");
  await bad.rolledOut(1);
  for (const agent of agents) {
    agent.replicaState = (revision) => (revision === 2 ? ReplicaState.STARTING : ReplicaState.READY);
  }
  await bad.apply("img:2");
  await eventually(
    () => agents.every((agent) => bad.revisionsOn(agent).includes(2)),
    (all) => all,
  );
  for (const agent of agents) {
    agent.replicaState = (revision) => (revision === 2 ? ReplicaState.FAILED : ReplicaState.READY);
  }
  const replica = await untilIncident("bad", ({ kind }) => kind === IncidentKind.REPLICA);
  expect(replica).toMatchObject({ key: "replica/bad/2", subject: { revision: 2 } });
  const rollout = await untilIncident(
    "bad",
    ({ kind, actions }) => kind === IncidentKind.ROLLOUT && actions.length > 0,
  );
  expect(rollout).toMatchObject({ summary: "revision 2 of deployment bad was rolled back" });
  expect(rollout.causes).toMatchObject([{ kind: "revision", name: "bad revision 2", reason: rollout.reason }]);
  const lost = await harness.agent("edge-4");
  lost.beats = false;
  harness.clock.skip(11_000);
  const node = await untilIncident("", ({ subject }) => subject?.nodeId === "edge-4");
  expect(node).toMatchObject({ kind: IncidentKind.NODE, key: "node/edge-4/lost", summary: "node edge-4 is lost" });
  lost.beats = true;
  await eventually(
    async () => {
      harness.clock.skip(5_000);
      return (await harness.incidents.getIncident({ id: node.id })).incident;
    },
    (incident) => incident?.state === IncidentState.RESOLVED && incident.resolution === "the node reports again",
  );
  const kinds = (await incidents("bad")).map(({ kind }) => kind).toSorted();
  expect(kinds).toEqual([IncidentKind.ROLLOUT, IncidentKind.REPLICA]);
});

test("viewers read, operators take note and close; what was closed by hand is not opened again by the same trouble", async () => {
  const first = await harness.agent("edge-6");
  first.beats = false;
  harness.clock.skip(11_000);
  const { id } = await untilIncident("", ({ key }) => key === "node/edge-6/lost");
  const tokenOf = async (role: Role) => (await harness.tokens.createToken({ name: `role-${role}`, role })).token;
  const viewer = harness.client(IncidentService, await tokenOf(Role.VIEWER));
  const operator = harness.client(IncidentService, await tokenOf(Role.OPERATOR));
  expect((await viewer.listIncidents({ nodeId: "edge-6", state: IncidentState.OPEN })).incidents).toMatchObject([
    { id },
  ]);
  const refused = await viewer.acknowledgeIncident({ id }).catch((error: unknown) => error);
  expect(refused).toMatchObject({ reason: "PERMISSION_DENIED" });
  const watched = viewer.watchIncidents({ nodeId: "edge-6" })[Symbol.asyncIterator]();
  expect((await watched.next()).value).toMatchObject({ incident: { id, acknowledgedBy: "" } });
  const noted = (await operator.acknowledgeIncident({ id })).incident;
  expect(noted).toMatchObject({ acknowledgedBy: `role-${Role.OPERATOR}`, state: IncidentState.OPEN });
  expect((await watched.next()).value).toMatchObject({ incident: { id, acknowledgedBy: `role-${Role.OPERATOR}` } });
  await watched.return?.();
  const again = (await harness.incidents.acknowledgeIncident({ id })).incident;
  expect(again?.acknowledgedAt).toEqual(noted?.acknowledgedAt);
  const closed = (await operator.resolveIncident({ id })).incident;
  expect(closed).toMatchObject({ state: IncidentState.RESOLVED, resolvedBy: `role-${Role.OPERATOR}` });
  harness.clock.skip(60_000);
  // Seconds of ticks in which the node is lost still: another incident shows that they went by.
  const more = await harness.agent("edge-5");
  more.beats = false;
  harness.clock.skip(11_000);
  await untilIncident("", ({ key }) => key === "node/edge-5/lost");
  expect((await harness.incidents.listIncidents({ nodeId: "edge-6", state: IncidentState.OPEN })).incidents).toEqual(
    [],
  );
  const unknown = await viewer.getIncident({ id: "01JNOSUCH" }).catch((error: unknown) => error);
  expect(unknown).toMatchObject({ reason: "INCIDENT_NOT_FOUND" });
  first.beats = true;
});

test("what hostile nodes say opens nothing and breaks nothing", async () => {
  const target = new ImageDeployment(harness, "target", everywhere);
  await target.apply("img:1");
  await target.rolledOut(1);
  for (const agent of agents) agent.traffic = calm;
  await steps(1);
  const before = (await incidents()).map(({ id, key }) => `${id} ${key}`);
  const [, edge2] = agents as [ScriptedAgent, ScriptedAgent];
  const replicas = Array.from({ length: 50 }, (_, i) => ({
    ...{
      replicaId: `made-up-${i}`,
      deployment: "target",
      revision: 1,
      state: ReplicaState.FAILED,
      restarts: 4_000_000_000,
    },
    message: "out of memory",
  }));
  for (let i = 0n; i < 50n; i++) {
    const names = { nodeId: "edge-2", bootId: `hostile-${i}`, sequence: i };
    const figures = { loadAverage: [Number.NaN, -1, 1e308, Number.POSITIVE_INFINITY][Number(i % 4n)] ?? 0 };
    publishHeartbeat(
      edge2.bus,
      create(HeartbeatSchema, { ...names, ...figures, replicas, freeMemoryMib: 4_294_967_295 }),
    );
    const times = { from: { seconds: -62_135_596_800n, nanos: 0 }, to: { seconds: 253_402_300_799n, nanos: 0 } };
    const latencyMs = { bounds: [Number.NaN, -1, Number.POSITIVE_INFINITY], counts: [4_294_967_295, 1, 1, 1] };
    const part = { revision: 1, requests: 0, errors: 4_294_967_295, basisPoints: 4_294_967_295, latencyMs };
    for (const deployment of ["target", "no-such", "edge-1"]) {
      publishWindow(
        edge2.bus,
        create(WindowSchema, { ...names, ...times, deployment, revisions: [part], matched: [part] }),
      );
    }
  }
  await steps(2);
  const after = await incidents();
  expect(after.map(({ id, key }) => `${id} ${key}`)).toEqual(before);
});
