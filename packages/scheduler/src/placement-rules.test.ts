import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  CapacitySchema,
  NodeSchema,
  NodeState,
  LabelConstraint_Operator as Operator,
  PlacementSchema,
  NodeRejection_Reason as Reason,
  ResourceRequestSchema,
} from "@kedge/proto";
import { expect, test } from "vitest";
import { type Cluster, createCluster } from "./cluster.ts";
import type { Demand } from "./demand.ts";
import { fits, place } from "./place.ts";

const node = (id: string, labels: Record<string, string> = {}, more: MessageInitShape<typeof NodeSchema> = {}) =>
  create(NodeSchema, {
    id,
    labels,
    state: NodeState.READY,
    capacity: create(CapacitySchema, { cpuMilli: 4000, memoryMib: 4000 }),
    ...more,
  });
const cpu = (cpuMilli: number) => create(ResourceRequestSchema, { cpuMilli });
const demand = (placement: MessageInitShape<typeof PlacementSchema>, more: Partial<Demand> = {}): Demand => ({
  key: "d",
  resources: cpu(1000),
  placement: create(PlacementSchema, placement),
  ...more,
});

/** Node that takes the demand, or the reasons of the nodes that do not. */
function where(cluster: Cluster, asked: Demand): string | Reason[] {
  const result = place(cluster, asked);
  return result.kind === "placed" ? result.nodeId : result.explanation.rejections.map(({ reason }) => reason);
}

function take(cluster: Cluster, asked: Demand, key: string): string {
  const result = place(cluster, { ...asked, key });
  if (result.kind === "unplaced") return "";
  const { spreadKey, workload } = asked;
  cluster.reserve(result.nodeId, key, asked.resources, { gpuIndices: result.gpuIndices, spreadKey, workload });
  return result.nodeId;
}

test.each([
  [Operator.IN, ["eu", "us"], "eu"],
  [Operator.NOT_IN, ["us", "as"], "eu"],
  [Operator.EXISTS, [], "eu"],
  [Operator.NOT_EXISTS, [], "bare"],
])("label constraint %i %j", (operator, values, taken) => {
  const cluster = createCluster([node("eu", { zone: "eu" }), node("bare")]);
  cluster.reserve(taken === "eu" ? "bare" : "eu", "filler", cpu(3000));
  const chosen = where(cluster, demand({ constraints: [{ label: "zone", operator, values }] }));
  // Without the constraint the fuller node would be taken.
  expect(chosen).toBe(operator === Operator.NOT_IN ? "bare" : taken);
});

test("numeric constraints; what is not a number meets neither", () => {
  const cluster = createCluster([node("big", { memory: "80" }), node("odd", { memory: "much" }), node("bare")]);
  const bound = (operator: Operator, value: string) =>
    demand({ constraints: [{ label: "memory", operator, values: [value] }] });
  expect(where(cluster, bound(Operator.AT_LEAST, "80"))).toBe("big");
  expect(where(cluster, bound(Operator.AT_LEAST, "80.5"))).toEqual(Array(3).fill(Reason.CONSTRAINT));
  expect(where(cluster, bound(Operator.AT_MOST, "79"))).toEqual(Array(3).fill(Reason.CONSTRAINT));
  expect(where(cluster, bound(Operator.UNSPECIFIED, "79"))).toEqual(Array(3).fill(Reason.CONSTRAINT));
});

test("what is wished for outweighs packing, and gives way when there is no room", () => {
  const cluster = createCluster([node("ssd", { disk: "ssd" }), node("full")]);
  cluster.reserve("full", "filler", cpu(3000));
  const constraint = { label: "disk", operator: Operator.EXISTS };
  expect(where(cluster, demand({ affinities: [{ constraint, weight: 10 }] }))).toBe("ssd");
  expect(where(cluster, demand({ affinities: [{ constraint, weight: -10 }] }))).toBe("full");
  cluster.reserve("ssd", "all", cpu(4000));
  expect(where(cluster, demand({ affinities: [{ constraint, weight: 10 }] }))).toBe("full");
});

test("near and apart, as conditions and as wishes", () => {
  const cluster = createCluster([node("a"), node("b")]);
  cluster.reserve("a", "db", cpu(100), { workload: "db" });
  expect(where(cluster, demand({ workloads: [{ workload: "db", required: true }] }))).toBe("a");
  expect(where(cluster, demand({ workloads: [{ workload: "db", required: true, apart: true }] }))).toBe("b");
  expect(where(cluster, demand({ workloads: [{ workload: "db", apart: true }] }))).toBe("b");
  expect(where(cluster, demand({ workloads: [{ workload: "none", required: true }] }))).toEqual([
    Reason.WORKLOAD,
    Reason.WORKLOAD,
  ]);
  cluster.reserve("b", "all", cpu(4000));
  expect(where(cluster, demand({ workloads: [{ workload: "db", apart: true }] }))).toBe("a");
});

test("distinct nodes: one copy on each, then none", () => {
  const cluster = createCluster([node("a"), node("b")]);
  const copy = demand({ distinctNodes: true }, { spreadKey: "web-1" });
  expect(new Set([take(cluster, copy, "1"), take(cluster, copy, "2")])).toEqual(new Set(["a", "b"]));
  expect(where(cluster, copy)).toEqual([Reason.SPREAD, Reason.SPREAD]);
  expect(where(cluster, { ...copy, spreadKey: "web-2" })).not.toEqual([]);
  cluster.release("1");
  expect(typeof where(cluster, copy)).toBe("string");
});

test("spread with a limit keeps zones even and leaves out nodes without the label", () => {
  const nodes = [node("x1", { zone: "x" }), node("x2", { zone: "x" }), node("y1", { zone: "y" }), node("bare")];
  const cluster = createCluster(nodes);
  const copy = demand({ spread: { label: "zone", maxSkew: 1 } }, { spreadKey: "s", resources: cpu(2000) });
  const zones = ["1", "2", "3", "4"].map((key) => take(cluster, copy, key).slice(0, 1));
  expect(zones.filter((zone) => zone === "x")).toHaveLength(2);
  expect(zones.filter((zone) => zone === "y")).toHaveLength(2);
  // y is full, so x must not get ahead by two.
  expect(take(cluster, copy, "5").slice(0, 1)).toBe("x");
  expect(where(cluster, copy)).toHaveLength(4);
  expect(fits(cluster, "x2", { ...copy, key: "d" })).toMatchObject({
    kind: "obstacle",
    obstacle: { reason: Reason.SPREAD, subject: "zone" },
  });
  const wish = { ...copy, placement: create(PlacementSchema, { spread: { label: "zone" } }) };
  expect(typeof where(cluster, wish)).toBe("string");
});

test("prefers where bytes need not be fetched, in proportion, and where they are on their way", () => {
  const cluster = createCluster([node("a"), node("b"), node("c")]);
  cluster.upsertNode(node("b"), { models: ["big"] });
  cluster.upsertNode(node("c"), { images: ["small"] });
  const both = {
    artifacts: [
      { name: "small", bytes: 10 ** 6 },
      { name: "big", bytes: 10 ** 10 },
    ],
  };
  expect(where(cluster, demand({}, both))).toBe("b");
  cluster.reserve("b", "all", cpu(4000));
  cluster.reserve("a", "puller", cpu(1), { artifacts: ["big"] });
  expect(where(cluster, demand({}, both))).toBe("a");
});

test("prefers the cheaper of two nodes", () => {
  const priced = (id: string, costPerHour: number) => node(id, {}, { capacity: { cpuMilli: 4000, costPerHour } });
  const dear = createCluster([priced("a", 4), priced("b", 0.5)]);
  expect(where(dear, demand({}))).toBe("b");
  expect(where(createCluster([priced("a", 0.5), priced("b", 4)]), demand({}))).toBe("a");
});

test("does not strand GPUs: a demand that needs much CPU for its device goes where CPU is plenty", () => {
  const machine = (id: string, cpuMilli: number) =>
    node(
      id,
      {},
      { capacity: { cpuMilli, memoryMib: 1e6, gpus: [0, 1].map((index) => ({ index, uuid: `${id}${index}` })) } },
    );
  const cluster = createCluster([machine("lean", 24_000), machine("rich", 100_000)]);
  const hungry = { key: "h", resources: create(ResourceRequestSchema, { cpuMilli: 20_000, gpu: { count: 1 } }) };
  expect(where(cluster, hungry)).toBe("rich");
  expect(where(createCluster([machine("rich", 24_000), machine("lean", 100_000)]), hungry)).toBe("lean");
});

test("room held for a job is named, and free for others only around it", () => {
  const cluster = createCluster([node("a")]);
  cluster.reserve("a", "hold:r/big", cpu(3000), { heldFor: "r/big" });
  expect(where(cluster, demand({}))).toBe("a");
  const bigger = demand({}, { resources: cpu(2000) });
  const result = place(cluster, bigger);
  expect(result.explanation.rejections).toMatchObject([{ reason: Reason.HELD, subject: "r/big" }]);
  expect(result.explanation.remedies[0]).toContain("r/big");
  expect(place(cluster, demand({}, { resources: cpu(5000) })).explanation.rejections).toMatchObject([
    { reason: Reason.RESOURCE_SHORT },
  ]);
});

test("remedies name what alone would help, the smallest first, and are true", () => {
  const cluster = createCluster([
    node("a", { zone: "eu" }),
    node("b", { zone: "us" }),
    node("c", { zone: "eu" }, { taints: ["gpu"] }),
    node("d", { zone: "us" }, { taints: ["gpu"] }),
  ]);
  cluster.reserve("a", "filler", cpu(3500));
  const asked = demand({ nodeSelector: { zone: "eu" } });
  const { remedies } = place(cluster, asked).explanation;
  expect(remedies).toEqual([
    "a lacks only cpu_milli: 1000 wanted, 500 free; it fits when 500 come free, or if it asks for at most 500",
    "b would take it without the condition on label zone",
    "c would take it if it tolerated the taint gpu",
  ]);
  expect(where(cluster, { ...asked, resources: cpu(500) })).toBe("a");
  expect(where(cluster, demand({}))).toBe("b");
  expect(where(cluster, demand({ nodeSelector: { zone: "eu" }, tolerations: ["gpu"] }))).toBe("c");
});
