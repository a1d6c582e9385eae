import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { systemClock } from "@kedge/kernel";
import {
  type CapacitySchema,
  type Deployment,
  DeploymentSchema,
  HeartbeatSchema,
  LabelConstraint_Operator,
  NodeSchema,
  PlacementSchema,
  type ReplicaAssignment,
  ReplicaMoveSchema,
  ReplicaState,
  ReplicaStatusSchema,
  type Revision,
  RevisionSchema,
  RuntimeKind,
} from "@kedge/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { AssignmentWriter } from "../nodes/assignment-writer.ts";
import { CapacityBook } from "../nodes/capacity-book.ts";
import { NodeRegistry } from "../nodes/registry.ts";
import { Scheduling } from "../scheduling/scheduling.ts";
import { startTestStores, type TestStores } from "../testing/test-stores.ts";
import { endMoves } from "./moves.ts";
import { type PlanContext, planReplicas, revisionScope } from "./replica-plan.ts";

let world: TestStores;
let context: PlanContext;

beforeEach(async () => {
  world = await startTestStores();
  const registry = new NodeRegistry(world.stores, systemClock);
  const assignments = new AssignmentWriter(world.stores);
  const book = new CapacityBook(world.stores, registry);
  const scheduling = new Scheduling({ stores: world.stores, book, clock: systemClock, onPass: () => {} });
  context = { registry, assignments, book, scheduling };
});
afterEach(() => world.stop());

/** Adds a node with room for four replicas. */
async function join(
  nodeId: string,
  labels: Record<string, string> = {},
  capacity: MessageInitShape<typeof CapacitySchema> = { cpuMilli: 4000, memoryMib: 4096 },
): Promise<void> {
  const what = { capacity, runtimes: [RuntimeKind.PROCESS], agentVersion: "test" };
  await world.stores.nodes.create(nodeId, create(NodeSchema, { id: nodeId, labels, ...what }));
  context.registry.heartbeat(create(HeartbeatSchema, { nodeId, ...what, bootId: "boot-1", sequence: 1n }));
  context.book.syncNode(nodeId);
}

const total = (count: number) => ({ case: "replicas", value: count }) as const;
const perNode = (count: number) => ({ case: "replicasPerNode", value: count }) as const;

function deploymentOf(name: string, scale: NonNullable<Deployment["spec"]>["scale"]): Deployment {
  return create(DeploymentSchema, { name, spec: { name, scale, placement: { nodeSelector: {} } } });
}

const revisionOf = (number: number): Revision =>
  create(RevisionSchema, { number, template: { resources: { cpuMilli: 1000 } } });

/** Plans and writes the assignments, as a reconciliation does; gives the ids by node. */
async function carryOut(deployment: Deployment, revision: Revision): Promise<Record<string, string[]>> {
  const plan = planReplicas(deployment, revision, context);
  for (const nodeId of ["n1", "n2"]) {
    await context.assignments.setReplicas(nodeId, deployment.name, plan.byNode.get(nodeId) ?? []);
    context.book.syncAssignment(nodeId);
  }
  return idsOf(plan.byNode);
}

const idsOf = (byNode: ReadonlyMap<string, readonly ReplicaAssignment[]>): Record<string, string[]> =>
  Object.fromEntries([...byNode].map(([nodeId, replicas]) => [nodeId, replicas.map(({ replicaId }) => replicaId)]));

test("replicas spread, stay where they are, and go from the end when fewer are wanted", async () => {
  await join("n1");
  await join("n2");
  const first = await carryOut(deploymentOf("voice", total(3)), revisionOf(1));
  expect(Object.values(first).flat()).toHaveLength(3);
  expect(Object.keys(first).sort()).toEqual(["n1", "n2"]);
  expect(await carryOut(deploymentOf("voice", total(3)), revisionOf(1))).toEqual(first);
  const fewer = Object.values(await carryOut(deploymentOf("voice", total(1)), revisionOf(1))).flat();
  expect(fewer).toHaveLength(1);
  expect(Object.values(first).flat()).toContain(fewer[0]);
});

test("no two replicas share an id, whatever deployments and nodes are called", async () => {
  await join("n");
  await join("2-n");
  const dashed = planReplicas(deploymentOf("a-1", perNode(1)), revisionOf(2), context);
  const plain = planReplicas(deploymentOf("a", perNode(1)), revisionOf(1), context);
  expect(idsOf(dashed.byNode)).toEqual({ n: ["a-1.2.n.0"], "2-n": ["a-1.2.2-n.0"] });
  expect(idsOf(plain.byNode)).toEqual({ n: ["a.1.n.0"], "2-n": ["a.1.2-n.0"] });
});

test("what finds no room is desired all the same, and the plan says why it is missing", async () => {
  await join("n1");
  const plan = planReplicas(deploymentOf("voice", total(5)), revisionOf(1), context);
  expect(revisionScope(deploymentOf("voice", total(5)), revisionOf(1), context).desired).toBe(5);
  expect(plan).toMatchObject({ pending: { summary: expect.stringContaining("cpu") } });
  expect(Object.values(idsOf(plan.byNode)).flat()).toHaveLength(4);
});

test("a node that is drained or no longer selected gives its replicas up", async () => {
  await join("n1", { zone: "a" });
  await join("n2", { zone: "b" });
  const deployment = deploymentOf("voice", total(2));
  await carryOut(deployment, revisionOf(1));
  if (deployment.spec) deployment.spec.placement = create(PlacementSchema, { nodeSelector: { zone: "b" } });
  expect(Object.keys(await carryOut(deployment, revisionOf(1)))).toEqual(["n2"]);
  const stored = world.stores.nodes.get("n2");
  if (stored === undefined) throw new Error("the node is gone");
  await world.stores.nodes.update("n2", { ...stored.value, draining: true }, stored.revision);
  context.book.syncNode("n2");
  expect(await carryOut(deployment, revisionOf(1))).toEqual({});
});

test("one replica per node goes to every node that fits", async () => {
  await join("n1");
  const deployment = deploymentOf("voice", perNode(2));
  expect(revisionScope(deployment, revisionOf(1), context)).toMatchObject({ desired: 2, nodes: ["n1"] });
  await join("n2");
  const plan = planReplicas(deployment, revisionOf(1), context);
  expect(revisionScope(deployment, revisionOf(1), context).desired).toBe(4);
  expect(idsOf(plan.byNode)).toEqual({ n1: ["voice.1.n1.0", "voice.1.n1.1"], n2: ["voice.1.n2.0", "voice.1.n2.1"] });
});

/** Has nodes report their replicas of the deployment; those listed are ready. */
function report(assigned: Record<string, string[]>, ready: readonly string[]): void {
  for (const [nodeId, ids] of Object.entries(assigned)) {
    const known = context.registry.latest(nodeId);
    if (known === undefined) throw new Error(`${nodeId} never reported`);
    const replicas = ids.map((replicaId) => {
      const state = ready.includes(replicaId) ? ReplicaState.READY : ReplicaState.STARTING;
      return create(ReplicaStatusSchema, { replicaId, deployment: "voice", revision: 1, state });
    });
    context.registry.heartbeat(create(HeartbeatSchema, { ...known, sequence: known.sequence + 1n, replicas }));
  }
}

test("a replica that is moved serves until the new one is ready, and then it goes", async () => {
  await join("n1");
  const deployment = deploymentOf("voice", total(1));
  deployment.stableRevision = 1;
  expect(await carryOut(deployment, revisionOf(1))).toEqual({ n1: ["voice.1.n1.0"] });
  await join("n2");
  const startedAt = timestampFromMs(systemClock.now());
  const move = { replicaId: "voice.1.n1.0", revision: 1, fromNodeId: "n1", toNodeId: "n2", startedAt };
  deployment.moves = [create(ReplicaMoveSchema, move)];
  const both = { n1: ["voice.1.n1.0"], n2: ["voice.1.n2.0"] };
  report({ n1: ["voice.1.n1.0"] }, ["voice.1.n1.0"]);
  expect(await carryOut(deployment, revisionOf(1))).toEqual(both);
  report(both, ["voice.1.n1.0"]);
  expect(endMoves(deployment, systemClock.now(), context)).toEqual([]);
  expect(await carryOut(deployment, revisionOf(1))).toEqual(both);
  report(both, ["voice.1.n1.0", "voice.1.n2.0"]);
  expect(await carryOut(deployment, revisionOf(1))).toEqual({ n2: ["voice.1.n2.0"] });
  expect(endMoves(deployment, systemClock.now(), context)).toMatchObject([{ move }]);
  expect(deployment.moves).toEqual([]);
  expect(await carryOut(deployment, revisionOf(1))).toEqual({ n2: ["voice.1.n2.0"] });
});

test("a move whose new replica is not ready in time is given up, and what serves stays", async () => {
  await join("n1");
  const deployment = deploymentOf("voice", total(1));
  deployment.stableRevision = 1;
  await carryOut(deployment, revisionOf(1));
  await join("n2");
  const startedAt = timestampFromMs(systemClock.now());
  const move = { replicaId: "voice.1.n1.0", revision: 1, fromNodeId: "n1", toNodeId: "n2", startedAt };
  deployment.moves = [create(ReplicaMoveSchema, move)];
  const both = await carryOut(deployment, revisionOf(1));
  report(both, ["voice.1.n1.0"]);
  const [ended] = endMoves(deployment, systemClock.now() + 61_000, context);
  expect(ended?.givenUp).toBe("it was not ready within 60 s");
  expect(await carryOut(deployment, revisionOf(1))).toEqual({ n1: ["voice.1.n1.0"] });
});

test("replicas get devices of their own and keep them", async () => {
  const capacity = { cpuMilli: 4000, gpus: [{ index: 0 }, { index: 1 }] };
  await join("n1", {}, capacity);
  const revision = create(RevisionSchema, { number: 1, template: { resources: { gpu: { count: 1 } } } });
  const first = planReplicas(deploymentOf("voice", total(1)), revision, context).byNode.get("n1") ?? [];
  await context.assignments.setReplicas("n1", "voice", first);
  context.book.load();
  const both = planReplicas(deploymentOf("voice", total(2)), revision, context).byNode.get("n1") ?? [];
  expect(both.map(({ gpuIndices }) => gpuIndices)).toEqual([[0], [1]]);
  expect(context.book.cluster.reservationsOn("n1").map(({ gpuIndices }) => gpuIndices)).toEqual([[0], [1]]);
});

test("a replica goes when its node no longer meets a condition, not when it is tainted or silent", async () => {
  await join("n1", { disk: "ssd" });
  const deployment = deploymentOf("voice", total(1));
  const constraint = { label: "disk", operator: LabelConstraint_Operator.IN, values: ["ssd"] };
  const placement = (values: string[]) => create(PlacementSchema, { constraints: [{ ...constraint, values }] });
  if (deployment.spec === undefined) throw new Error("no spec");
  deployment.spec.placement = placement(["ssd"]);
  const placed = await carryOut(deployment, revisionOf(1));
  expect(placed).toEqual({ n1: ["voice.1.n1.0"] });
  const stored = world.stores.nodes.get("n1");
  if (stored === undefined) throw new Error("the node is gone");
  await world.stores.nodes.update("n1", { ...stored.value, taints: ["busy"], cordoned: true }, stored.revision);
  context.book.syncNode("n1");
  expect(await carryOut(deployment, revisionOf(1))).toEqual(placed);
  deployment.spec.placement = placement(["nvme"]);
  expect(await carryOut(deployment, revisionOf(1))).toEqual({});
});
