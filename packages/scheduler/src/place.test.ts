import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  CapacitySchema,
  NodeRejection_Reason,
  NodeSchema,
  NodeState,
  PlacementSchema,
  ResourceRequestSchema,
  RuntimeKind,
} from "@kedge/proto";
import { expect, test } from "vitest";
import { createCluster } from "./cluster.ts";
import { eligibleNodes } from "./eligible-nodes.ts";
import { explain } from "./explain.ts";
import { place } from "./place.ts";

const GPUS = [0, 1].map((index) => ({ index, uuid: `u${index}`, model: "A100", memoryMib: 40_000 }));

const node = (id: string, more: MessageInitShape<typeof NodeSchema> = {}) =>
  create(NodeSchema, {
    id,
    state: NodeState.READY,
    runtimes: [RuntimeKind.DOCKER],
    capacity: create(CapacitySchema, { cpuMilli: 4000, memoryMib: 8192, diskMib: 10_000 }),
    ...more,
  });
const gpuNode = (id: string) =>
  node(id, { capacity: { cpuMilli: 4000, memoryMib: 8192, diskMib: 10_000, gpus: GPUS } });
const request = (init: MessageInitShape<typeof ResourceRequestSchema>) => create(ResourceRequestSchema, init);

test("packs jobs onto the fullest node that still fits", () => {
  const cluster = createCluster([node("a"), node("b"), node("c")]);
  cluster.reserve("b", "old", request({ cpuMilli: 2000 }));
  expect(place(cluster, { key: "j", resources: request({ cpuMilli: 1000 }) })).toMatchObject({ nodeId: "b" });
  expect(place(cluster, { key: "k", resources: request({ cpuMilli: 3000 }) })).toMatchObject({ nodeId: "a" });
});

test("keeps jobs without GPU off nodes with free GPUs", () => {
  const cluster = createCluster([gpuNode("a"), node("b")]);
  expect(place(cluster, { key: "j", resources: request({ cpuMilli: 1000 }) })).toMatchObject({ nodeId: "b" });
});

test("spreads what shares a spread key", () => {
  const cluster = createCluster([node("a"), node("b"), node("c")]);
  const chosen = ["1", "2", "3", "4"].map((key) => {
    const demand = { key, resources: request({ cpuMilli: 500 }), spreadKey: "d-1" };
    const result = place(cluster, demand);
    if (result.kind === "unplaced") throw new Error(result.explanation.summary);
    cluster.reserve(result.nodeId, key, demand.resources, { spreadKey: "d-1" });
    return result.nodeId;
  });
  expect(new Set(chosen.slice(0, 3))).toEqual(new Set(["a", "b", "c"]));
  expect(chosen[3]).toBe(chosen[0]);
});

test("prefers a node that has the image", () => {
  const cluster = createCluster([node("a")]);
  cluster.upsertNode(node("b"), { images: ["img"] });
  const demand = { key: "j", resources: request({ cpuMilli: 100 }), artifacts: [{ name: "img", bytes: 2 ** 30 }] };
  expect(place(cluster, demand)).toMatchObject({ nodeId: "b" });
  cluster.upsertNode(node("b"));
  expect(place(cluster, demand)).toMatchObject({ nodeId: "b" });
});

test("gives out whole devices and shares of one", () => {
  const cluster = createCluster([gpuNode("g")]);
  const half = request({ gpu: { shareMilli: 600, memoryMib: 10_000 } });
  cluster.reserve("g", "half", half, { gpuIndices: [0] });
  expect(place(cluster, { key: "w", resources: request({ gpu: { count: 1 } }) })).toMatchObject({ gpuIndices: [1] });
  expect(place(cluster, { key: "h", resources: half })).toMatchObject({ gpuIndices: [1] });
  const two = place(cluster, { key: "t", resources: request({ gpu: { count: 2 } }) });
  expect(two.explanation.rejections).toMatchObject([
    { reason: NodeRejection_Reason.RESOURCE_SHORT, subject: "gpu.count", wanted: 2, free: 1, total: 2 },
  ]);
  expect(two.explanation.impossible).toBe(false);
});

test("names the dimension when no node could ever take it", () => {
  const cluster = createCluster([node("a"), node("b", { cordoned: true })]);
  const { explanation } = place(cluster, { key: "j", resources: request({ memoryMib: 9000 }) });
  expect(explanation.impossible).toBe(true);
  expect(explanation.summary).toContain("memory_mib 9000 wanted, the most any node has is 8192");
  const wrongModel = place(createCluster([gpuNode("g")]), {
    key: "m",
    resources: request({ gpu: { count: 1, model: "H100" } }),
  });
  expect(wrongModel.explanation).toMatchObject({ impossible: true, rejections: [{ subject: "gpu.model" }] });
});

test("an empty cluster, or a node that never reported, makes nothing impossible", () => {
  const demand = { key: "j", resources: request({ cpuMilli: 1e6 }) };
  expect(place(createCluster(), demand).explanation).toMatchObject({ impossible: false, summary: "no node is known" });
  const joining = create(NodeSchema, { id: "n", state: NodeState.JOINING, runtimes: [RuntimeKind.DOCKER] });
  expect(place(createCluster([joining]), demand).explanation.impossible).toBe(false);
});

test("labels named like built-in properties do not match by accident", () => {
  const cluster = createCluster([node("a")]);
  const placement = create(PlacementSchema, { nodeSelector: { constructor: "x" } });
  expect(place(cluster, { key: "j", placement }).kind).toBe("unplaced");
});

test("reservations come before the node and outlive it", () => {
  const cluster = createCluster();
  cluster.reserve("g", "early", request({ cpuMilli: 3500, gpu: { count: 1 } }));
  cluster.upsertNode(gpuNode("g"));
  expect(cluster.reservation("early")?.gpuIndices).toEqual([0]);
  const demand = { key: "j", resources: request({ cpuMilli: 1000 }) };
  expect(place(cluster, demand).kind).toBe("unplaced");
  cluster.removeNode("g");
  cluster.upsertNode(gpuNode("g"));
  expect(place(cluster, demand).kind).toBe("unplaced");
  expect(cluster.release("early")).toBe(true);
  expect(cluster.release("early")).toBe(false);
  expect(place(cluster, demand).kind).toBe("placed");
});

test("eligible nodes: those that match, those with room, and why the others are not", () => {
  const cluster = createCluster([node("a"), node("b"), node("c", { taints: ["edge"] })]);
  cluster.reserve("b", "r", request({ cpuMilli: 4000 }));
  const eligible = eligibleNodes(cluster, { key: "d", resources: request({ cpuMilli: 100 }) });
  expect(eligible.matching).toEqual(["a", "b"]);
  expect(eligible.fitting).toEqual(["a"]);
  expect(eligible.rejections).toMatchObject([
    { nodeId: "b", subject: "cpu_milli" },
    { nodeId: "c", reason: NodeRejection_Reason.TAINTED, subject: "edge" },
  ]);
});

test("explains a placement with the scores of those that lost", () => {
  const cluster = createCluster([node("a"), node("b"), node("c", { cordoned: true })]);
  const explanation = explain(cluster, { key: "j", resources: request({ cpuMilli: 100 }) });
  expect(explanation).toMatchObject({ chosenNodeId: "a", rejections: [{ nodeId: "c" }] });
  expect(Object.keys(explanation.losingScores)).toEqual(["b"]);
});
