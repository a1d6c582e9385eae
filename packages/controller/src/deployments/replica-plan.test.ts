import { create } from "@bufbuild/protobuf";
import { systemClock } from "@kedge/kernel";
import {
  type Deployment,
  DeploymentSchema,
  HeartbeatSchema,
  NodeSchema,
  PlacementSchema,
  type ReplicaAssignment,
  type Revision,
  RevisionSchema,
  RuntimeKind,
} from "@kedge/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { AssignmentWriter } from "../nodes/assignment-writer.ts";
import { CapacityBook } from "../nodes/capacity-book.ts";
import { NodeRegistry } from "../nodes/registry.ts";
import { startTestStores, type TestStores } from "../testing/test-stores.ts";
import { type PlanContext, planReplicas } from "./replica-plan.ts";

let world: TestStores;
let context: PlanContext;

beforeEach(async () => {
  world = await startTestStores();
  const registry = new NodeRegistry(world.stores, systemClock);
  const assignments = new AssignmentWriter(world.stores);
  context = { registry, assignments, book: new CapacityBook(world.stores, registry) };
});
afterEach(() => world.stop());

/** Adds a node with room for four replicas. */
async function join(nodeId: string, labels: Record<string, string> = {}): Promise<void> {
  const capacity = { cpuMilli: 4000, memoryMib: 4096 };
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
  expect(plan).toMatchObject({ desired: 5, pending: { summary: expect.stringContaining("cpu") } });
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
  expect(planReplicas(deployment, revisionOf(1), context)).toMatchObject({ desired: 2 });
  await join("n2");
  const plan = planReplicas(deployment, revisionOf(1), context);
  expect(plan.desired).toBe(4);
  expect(idsOf(plan.byNode)).toEqual({ n1: ["voice.1.n1.0", "voice.1.n1.1"], n2: ["voice.1.n2.0", "voice.1.n2.1"] });
});
