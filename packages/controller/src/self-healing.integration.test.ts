import { create } from "@bufbuild/protobuf";
import {
  FailureClass,
  FailureSchema,
  HealthLevel,
  IncidentKind,
  IncidentService,
  JobState,
  type Node,
  QuarantineState,
  ReplicaState,
  RunState,
  TaskState,
} from "@kedge/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ControllerHarness } from "./testing/controller-harness.ts";
import { eventually } from "./testing/eventually.ts";
import { ImageDeployment } from "./testing/image-deployment.ts";
import type { ScriptedAgent } from "./testing/scripted-agent.ts";

const { FAILED, READY, STARTING } = ReplicaState;

let harness: ControllerHarness;

beforeEach(async () => {
  harness = await ControllerHarness.start();
});
afterEach(() => harness.stop());

const joinAll = async (count: number): Promise<ScriptedAgent[]> => {
  const agents: ScriptedAgent[] = [];
  for (let i = 1; i <= count; i++) agents.push(await harness.agent(`n${i}`));
  return agents;
};

/** Serves revision 1 with so many replicas, each taking half a node. */
async function serve(name: string, replicas: number): Promise<ImageDeployment> {
  const deployment = new ImageDeployment(harness, name, { scale: { case: "replicas", value: replicas } });
  await deployment.apply(`${name}:1`, { cpuMilli: 2000 });
  await deployment.rolledOut(1);
  return deployment;
}

async function nodeOf(nodeId: string): Promise<Node> {
  const { node } = await harness.nodes.getNode({ nodeId });
  if (node === undefined) throw new Error("no node came back");
  return node;
}

const untilNode = (nodeId: string, isDone: (node: Node) => boolean) => eventually(() => nodeOf(nodeId), isDone);

/** Replicas of a deployment that a node is to run. */
const replicasOn = (agent: ScriptedAgent | undefined, name: string): string[] =>
  (agent?.assignment?.replicas ?? []).flatMap((replica) => (replica.deployment === name ? [replica.replicaId] : []));

const agentOf = (agents: readonly ScriptedAgent[], nodeId: string): ScriptedAgent => {
  const agent = agents.find((candidate) => candidate.nodeId === nodeId);
  if (agent === undefined) throw new Error(`no agent ${nodeId}`);
  return agent;
};

const job = (name: string): string => `name: ${name}\njobs:\n  work:\n    steps: [{ name: go, run: 'true' }]\n`;
const failure = create(FailureSchema, { class: FailureClass.INFRASTRUCTURE, message: "no space left on device" });

test("by hand: replicas move before they end, through a restart in the middle; nothing new comes; release", async () => {
  const agents = await joinAll(3);
  const deployment = await serve("vad", 2);
  const source = agents.find((agent) => replicasOn(agent, "vad").length > 0) as ScriptedAgent;
  const [old] = replicasOn(source, "vad");
  // Whoever gets the new one does not get it ready yet.
  for (const agent of agents) agent.replicaState = (_, id) => (isOld(id) ? READY : STARTING);
  const before = new Set(agents.flatMap((agent) => replicasOn(agent, "vad")));
  function isOld(id: string): boolean {
    return before.has(id);
  }
  let fewest = 2;
  const watch = () => {
    const ready = agents.flatMap((agent) =>
      replicasOn(agent, "vad").filter((id) => agent.replicaState(1, id) === READY),
    );
    fewest = Math.min(fewest, ready.length);
  };

  const { node } = await harness.nodes.quarantineNode({ nodeId: source.nodeId, reason: "strange noises" });
  expect(node?.quarantine).toMatchObject({ state: QuarantineState.ACTIVE, reason: "strange noises" });
  const [move] = (await deployment.until(({ moves }) => moves.length === 1)).moves;
  expect(move).toMatchObject({
    replicaId: old,
    fromNodeId: source.nodeId,
    reason: `${source.nodeId} is in quarantine`,
  });
  const target = agentOf(agents, move?.toNodeId ?? "");
  await eventually(
    () => replicasOn(target, "vad"),
    (ids) => ids.includes(move?.newReplicaId ?? "?"),
  );
  watch();

  await harness.stopController();
  await harness.startController();
  await untilNode(source.nodeId, ({ state, quarantine }) => state === 1 && quarantine?.reason === "strange noises");
  const sent = target.messagesSent;
  await eventually(
    () => {
      watch();
      return target.messagesSent - sent;
    },
    (count) => count > 15,
  );
  expect(replicasOn(source, "vad")).toEqual([old]);

  for (const agent of agents) agent.replicaState = () => READY;
  await eventually(
    () => {
      watch();
      return replicasOn(source, "vad");
    },
    (ids) => ids.length === 0,
  );
  await deployment.until(({ moves }) => moves.length === 0);
  expect(fewest).toBe(2);
  expect(agents.flatMap((agent) => replicasOn(agent, "vad"))).toHaveLength(2);

  for (const { nodeId } of agents.filter((agent) => agent !== source)) await harness.nodes.cordonNode({ nodeId });
  const run = await harness.submit(job("later"));
  const waiting = await harness.until(run.id, ({ jobs }) => jobs[0]?.state === JobState.PENDING);
  const { explanation } = await harness.scheduling.explainJob({ runId: waiting.id, job: "work" });
  expect(explanation?.rejections.find(({ nodeId }) => nodeId === source.nodeId)?.subject).toBe(
    "in quarantine: strange noises",
  );
  await harness.nodes.releaseNode({ nodeId: source.nodeId });
  expect((await harness.until(run.id)).state).toBe(RunState.SUCCEEDED);
  expect(source.offers).toHaveLength(1);
});

test("a node without room elsewhere keeps what it serves", async () => {
  const [one] = await joinAll(1);
  const deployment = await serve("vad", 1);
  await harness.nodes.quarantineNode({ nodeId: "n1", reason: "noises" });
  const sent = one?.messagesSent ?? 0;
  await eventually(
    () => (one?.messagesSent ?? 0) - sent,
    (count) => count > 15,
  );
  expect(replicasOn(one, "vad")).toEqual(["vad.1.n1.0"]);
  expect((await deployment.look()).moves).toEqual([]);
});

test("a node whose disk is full is set aside, put on probation once it is not, and released; its next time is longer", async () => {
  const [sick] = await joinAll(3);
  if (sick === undefined) throw new Error("no agent");
  sick.freeDiskMib = 12n;
  const first = await untilNode("n1", ({ quarantine }) => quarantine?.state === QuarantineState.ACTIVE);
  expect(first.quarantine).toMatchObject({ by: "controller", strikes: 1, reason: "only 12 MiB of disk are free" });
  expect(first.health?.level).toBe(HealthLevel.SICK);
  expect(first.health?.reasons[0]?.clears).toBe("512 MiB are free");

  const { incidents } = await eventually(
    () => harness.client(IncidentService).listIncidents({ nodeId: "n1" }),
    (seen) => seen.incidents.length > 0,
  );
  expect(incidents).toMatchObject([{ kind: IncidentKind.NODE, reason: "only 12 MiB of disk are free" }]);

  // Time alone is not enough.
  harness.clock.skip(601_000);
  await untilNode("n1", ({ state }) => state === 1);
  expect((await nodeOf("n1")).quarantine?.state).toBe(QuarantineState.ACTIVE);
  sick.freeDiskMib = 9_000n;
  await untilNode("n1", ({ quarantine }) => quarantine?.state === QuarantineState.PROBATION);

  sick.freeDiskMib = 12n;
  const again = await untilNode("n1", ({ quarantine }) => quarantine?.state === QuarantineState.ACTIVE);
  expect(again.quarantine?.strikes).toBe(2);
  const { since, until } = again.quarantine ?? {};
  expect(Number(until?.seconds ?? 0n) - Number(since?.seconds ?? 0n)).toBe(1_200);

  sick.freeDiskMib = 9_000n;
  harness.clock.skip(1_201_000);
  await untilNode("n1", ({ quarantine }) => quarantine?.state === QuarantineState.PROBATION);
  harness.clock.skip(1_201_000);
  await untilNode("n1", ({ quarantine, state }) => quarantine === undefined && state === 1);
});

test("what all nodes have in common sets one of them aside at most", async () => {
  const agents = await joinAll(4);
  for (const agent of agents) agent.freeDiskMib = 12n;
  await eventually(
    async () => (await harness.nodes.listNodes({})).nodes,
    (nodes) => nodes.every(({ health }) => health?.level === HealthLevel.SICK),
  );
  const spared = await eventually(
    async () => (await harness.nodes.listNodes({})).nodes,
    (nodes) => nodes.filter(({ health }) => health?.reasons.length === 2).length === 3,
  );
  expect(spared.filter(({ quarantine }) => quarantine !== undefined)).toHaveLength(1);
  const texts = spared.flatMap(({ health }) => health?.reasons[1]?.text ?? []);
  expect(texts[0]).toBe("it is not set aside: 1 of 4 nodes are in quarantine already, the most that may be");
});

test("a node on which jobs fail that are well elsewhere is set aside by itself, and keeps nothing waiting", async () => {
  const agents = await joinAll(3);
  const [bad] = agents;
  for (const agent of agents) {
    agent.script = () => (agent === bad ? { state: TaskState.FAILED, failure } : { state: TaskState.SUCCEEDED });
  }
  const names = ["a", "b", "c", "d", "e", "f"];
  const submitAll = async () => {
    const runs = await Promise.all(names.map((name) => harness.submit(job(name))));
    for (const { id } of runs) await harness.until(id);
  };
  // By turns, as packing alone would send everything to one node.
  for (const { nodeId } of agents) {
    for (const other of agents) {
      if (other.nodeId !== nodeId) await harness.nodes.cordonNode({ nodeId: other.nodeId });
    }
    await submitAll();
    for (const other of agents) await harness.nodes.uncordonNode({ nodeId: other.nodeId });
  }
  const node = await untilNode("n1", ({ quarantine }) => quarantine !== undefined);
  expect(node.quarantine?.reason).toContain("failed");
  const offers = bad?.offers.length;
  await submitAll();
  expect(bad?.offers.length).toBe(offers);
  for (const nodeId of ["n2", "n3"]) expect((await nodeOf(nodeId)).quarantine).toBeUndefined();
});

test("a replica that crashes on one node alone goes to another; the node stays in service", async () => {
  const agents = await joinAll(4);
  const deployment = await serve("vad", 3);
  const source = agents.find((agent) => replicasOn(agent, "vad").length > 0) as ScriptedAgent;
  let crashes = 0;
  source.replicaState = () => FAILED;
  source.restarts = () => crashes++;
  const moved = await eventually(
    () => agents.filter((agent) => agent !== source && replicasOn(agent, "vad").length > 0),
    (others) => others.length === 3,
  );
  expect(moved).not.toContain(source);
  await eventually(
    () => replicasOn(source, "vad"),
    (ids) => ids.length === 0,
  );
  const { avoidedNodes } = await deployment.look();
  expect(avoidedNodes).toMatchObject([{ nodeId: source.nodeId, revision: 1 }]);
  expect(avoidedNodes[0]?.reason).toMatch(/^replicas of vad revision 1 failed: \d+ times in .* elsewhere$/);
  expect((await nodeOf(source.nodeId)).quarantine).toBeUndefined();
  expect((await nodeOf(source.nodeId)).health?.level).toBe(HealthLevel.SUSPECT);
});

test("a revision that crashes everywhere moves nowhere, and no node is to blame", async () => {
  const agents = await joinAll(4);
  const deployment = await serve("vad", 3);
  let crashes = 0;
  for (const agent of agents) {
    agent.replicaState = () => FAILED;
    agent.restarts = () => Math.floor(crashes++ / 3);
  }
  const sent = agents[0]?.messagesSent ?? 0;
  await eventually(
    () => (agents[0]?.messagesSent ?? 0) - sent,
    (count) => count > 60,
  );
  const { nodes } = await harness.nodes.listNodes({});
  expect(nodes.map(({ quarantine, health }) => [quarantine, health?.level])).toEqual(
    nodes.map(() => [undefined, HealthLevel.HEALTHY]),
  );
  expect(await deployment.look()).toMatchObject({ moves: [], avoidedNodes: [] });
});

test("tasks go on, or end and are tried elsewhere if that is asked for, and no attempt is used up", async () => {
  const agents = await joinAll(2);
  for (const agent of agents) agent.script = () => undefined;
  const run = await harness.submit(job("long"));
  const running = await harness.until(run.id, ({ jobs }) => jobs[0]?.state === JobState.RUNNING);
  const nodeId = running.jobs[0]?.tasks[0]?.nodeId ?? "";
  await harness.nodes.quarantineNode({ nodeId, reason: "noises" });
  const sent = agents[0]?.messagesSent ?? 0;
  await eventually(
    () => (agents[0]?.messagesSent ?? 0) - sent,
    (count) => count > 30,
  );
  expect((await harness.run(run.id)).jobs[0]?.tasks).toHaveLength(1);

  for (const agent of agents) agent.script = () => ({ state: TaskState.SUCCEEDED });
  await harness.nodes.quarantineNode({ nodeId, reason: "worse noises", endTasks: true });
  const ended = await harness.until(run.id);
  expect(ended.state).toBe(RunState.SUCCEEDED);
  const [first, second] = ended.jobs[0]?.tasks ?? [];
  expect(first).toMatchObject({ state: TaskState.PREEMPTED, preemptedBy: `the quarantine of ${nodeId}` });
  expect(second?.nodeId).not.toBe(nodeId);
});

test("a quarantine needs a reason, and ends by itself if a time is given", async () => {
  await joinAll(2);
  await expect(harness.nodes.quarantineNode({ nodeId: "n1", reason: " " })).rejects.toMatchObject({
    reason: "INVALID_FIELD",
  });
  await expect(harness.nodes.releaseNode({ nodeId: "n9" })).rejects.toMatchObject({ reason: "NODE_NOT_FOUND" });
  await harness.nodes.quarantineNode({ nodeId: "n1", reason: "repair", duration: { seconds: 60n } });
  harness.clock.skip(61_000);
  await untilNode("n1", ({ quarantine }) => quarantine?.state === QuarantineState.PROBATION);
});
