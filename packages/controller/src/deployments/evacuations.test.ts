import { clone, create } from "@bufbuild/protobuf";
import { systemClock } from "@kedge/kernel";
import {
  type Deployment,
  DeploymentSchema,
  HeartbeatSchema,
  NodeSchema,
  type ReplicaMove,
  ReplicaState,
  RolloutSchema,
  RolloutState,
  RuntimeKind,
} from "@kedge/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { setAside } from "../node-health/quarantine.ts";
import { AssignmentWriter } from "../nodes/assignment-writer.ts";
import { CapacityBook } from "../nodes/capacity-book.ts";
import { NodeRegistry } from "../nodes/registry.ts";
import { Scheduling } from "../scheduling/scheduling.ts";
import { startTestStores, type TestStores } from "../testing/test-stores.ts";
import { endAvoidance } from "./avoided-nodes.ts";
import { beginEvacuation, type EvacuationContext } from "./evacuations.ts";
import { endMoves } from "./moves.ts";
import { type PlanContext, planReplicas } from "./replica-plan.ts";

const RESOURCES = { cpuMilli: 1000 };
const START_TIMEOUT_MS = 60_000;

let world: TestStores;
let context: PlanContext & EvacuationContext;
let misfits: Map<string, string>;
let deployment: Deployment;

beforeEach(async () => {
  world = await startTestStores();
  const registry = new NodeRegistry(world.stores, systemClock);
  const assignments = new AssignmentWriter(world.stores);
  const book = new CapacityBook(world.stores, registry);
  const scheduling = new Scheduling({ stores: world.stores, book, clock: systemClock, onPass: () => {} });
  misfits = new Map();
  context = { registry, assignments, book, scheduling, misfits: () => misfits };
  const revisions = [{ number: 1, template: { resources: RESOURCES } }];
  const spec = { name: "vad", scale: { case: "replicas", value: 2 } as const };
  deployment = create(DeploymentSchema, { name: "vad", spec, revisions, stableRevision: 1 });
});
afterEach(() => world.stop());

async function join(...nodeIds: string[]): Promise<void> {
  for (const id of nodeIds) {
    const node = { id, capacity: { cpuMilli: 4000 }, runtimes: [RuntimeKind.PROCESS], agentVersion: "test" };
    await world.stores.nodes.create(id, create(NodeSchema, node));
    report(id, []);
    context.book.syncNode(id);
  }
}

let sequence = 0n;
function report(nodeId: string, ready: readonly string[]): void {
  const replicas = ready.map((replicaId) => ({
    ...{ replicaId, deployment: "vad", revision: 1 },
    state: ReplicaState.READY,
  }));
  context.registry.heartbeat(create(HeartbeatSchema, { nodeId, bootId: "boot-1", sequence: ++sequence, replicas }));
}

async function quarantine(nodeId: string): Promise<void> {
  const stored = world.stores.nodes.get(nodeId);
  if (stored === undefined) throw new Error("no such node");
  const node = clone(NodeSchema, stored.value);
  setAside(node, { reason: "noises", by: "ann", nowMs: systemClock.now(), strikes: 1, endTasks: false });
  await world.stores.nodes.update(nodeId, node, stored.revision);
  context.book.syncNode(nodeId);
}

/** Plans and writes the assignments, as a reconciliation does; gives the ids by node. */
async function carryOut(): Promise<Record<string, string[]>> {
  const [revision] = deployment.revisions;
  if (revision === undefined) throw new Error("no revision");
  const { byNode } = planReplicas(deployment, revision, context);
  const placed: Record<string, string[]> = {};
  for (const [nodeId] of world.stores.nodes.entries()) {
    const replicas = byNode.get(nodeId) ?? [];
    await context.assignments.setReplicas(nodeId, "vad", replicas);
    context.book.syncAssignment(nodeId);
    if (replicas.length > 0) placed[nodeId] = replicas.map(({ replicaId }) => replicaId);
  }
  return placed;
}

function begin(nowMs = systemClock.now()): Pick<ReplicaMove, "replicaId" | "newReplicaId" | "reason">[] {
  beginEvacuation(deployment, nowMs, context);
  return deployment.moves.map(({ replicaId, newReplicaId, reason }) => ({ replicaId, newReplicaId, reason }));
}

test("a replica may move to a node that has one already; both are there until the new one is ready", async () => {
  await join("n1", "n2");
  expect(await carryOut()).toEqual({ n1: ["vad.1.n1.0"], n2: ["vad.1.n2.0"] });
  expect(begin()).toEqual([]);
  await quarantine("n1");
  const move = { replicaId: "vad.1.n1.0", newReplicaId: "vad.1.n2.1", reason: "n1 is in quarantine" };
  expect(begin()).toEqual([move]);
  // Looking again changes nothing.
  expect(begin()).toEqual([move]);
  report("n1", ["vad.1.n1.0"]);
  report("n2", ["vad.1.n2.0"]);
  expect(await carryOut()).toEqual({ n1: ["vad.1.n1.0"], n2: ["vad.1.n2.0", "vad.1.n2.1"] });
  report("n2", ["vad.1.n2.0", "vad.1.n2.1"]);
  expect(await carryOut()).toEqual({ n2: ["vad.1.n2.0", "vad.1.n2.1"] });
  expect(endMoves(deployment, systemClock.now(), context)).toMatchObject([{ move }]);
});

test("where nothing has room the replica stays", async () => {
  await join("n1");
  const placed = await carryOut();
  await quarantine("n1");
  expect(begin()).toEqual([]);
  expect(await carryOut()).toEqual(placed);
});

test("a misfit goes off its node for a while; one that was not ready is no loss", async () => {
  await join("n1", "n2", "n3");
  const placed = await carryOut();
  const [from = ""] = Object.keys(placed);
  misfits.set(from, "it crashes there");
  const now = systemClock.now();
  const [move] = begin(now);
  expect(move?.reason).toBe("it crashes there");
  expect(deployment.avoidedNodes).toMatchObject([{ nodeId: from, revision: 1, reason: "it crashes there" }]);
  await carryOut();
  const [, target = ""] = /^vad\.1\.(\w+)\.0$/.exec(move?.newReplicaId ?? "") ?? [];
  report(target, [move?.newReplicaId ?? ""]);
  // Of two wanted only the new one is ready; the old one that crashes goes all the same.
  expect(Object.keys(await carryOut())).not.toContain(from);
  endMoves(deployment, now, context);
  endAvoidance(deployment, now + 29 * 60_000);
  expect(deployment.avoidedNodes).toHaveLength(1);
  endAvoidance(deployment, now + 30 * 60_000);
  expect(deployment.avoidedNodes).toEqual([]);
});

test("a target that does not bring the replica up is avoided; one that does is waited for", async () => {
  await join("n1", "n2");
  await carryOut();
  await quarantine("n1");
  const now = systemClock.now();
  begin(now);
  await carryOut();
  report("n2", ["vad.1.n2.1"]);
  expect(endMoves(deployment, now + START_TIMEOUT_MS + 1, context)).toEqual([]);
  report("n2", []);
  const [ended] = endMoves(deployment, now + START_TIMEOUT_MS + 1, context);
  expect(ended?.givenUp).toBe("it was not ready within 60 s");
  expect(deployment.avoidedNodes.map(({ nodeId }) => nodeId)).toEqual(["n2"]);
  expect(begin()).toEqual([]);
});

test("nothing moves while a rollout is under way, or where every node has its own replicas", async () => {
  await join("n1", "n2", "n3");
  await carryOut();
  await quarantine("n1");
  const busy = clone(DeploymentSchema, deployment);
  busy.rollout = create(RolloutSchema, { state: RolloutState.PROGRESSING, toRevision: 2 });
  beginEvacuation(busy, systemClock.now(), context);
  expect(busy.moves).toEqual([]);
  if (deployment.spec) deployment.spec.scale = { case: "replicasPerNode", value: 1 };
  expect(begin()).toEqual([]);
});
