import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Node,
  NodeSchema,
  NodeState,
  type Placement,
  PlacementSchema,
  type ResourceRequest,
  ResourceRequestSchema,
} from "@kedge/proto";
import { describe, expect, test } from "vitest";
import { type Cluster, createCluster } from "./cluster.ts";
import type { Demand } from "./demand.ts";
import { type MovableReplica, measureFragmentation, planRebalance } from "./index.ts";

function node(id: string, gpus: number, labels: Record<string, string> = {}): Node {
  const devices = Array.from({ length: gpus }, (_, index) => ({ index, uuid: `${id}-${index}`, memoryMib: 40_960 }));
  return create(NodeSchema, {
    id,
    labels,
    state: NodeState.READY,
    capacity: { cpuMilli: 64_000, memoryMib: 262_144, gpus: devices },
  });
}

const request = (init: MessageInitShape<typeof ResourceRequestSchema>): ResourceRequest =>
  create(ResourceRequestSchema, init);
const gpus = (count: number): ResourceRequest => request({ cpuMilli: 1_000, gpu: { count } });
const part = (shareMilli: number): ResourceRequest => request({ cpuMilli: 1_000, gpu: { shareMilli } });
const cpu = (cores: number): ResourceRequest => request({ cpuMilli: cores * 1_000 });
const placement = (init: MessageInitShape<typeof PlacementSchema>): Placement => create(PlacementSchema, init);

/** Reserves a replica on a node; devices as told, or the first that fit. */
function put(cluster: Cluster, nodeId: string, demand: Demand, gpuIndices: readonly number[] = []): MovableReplica {
  const { key, resources, spreadKey, workload } = demand;
  cluster.reserve(nodeId, key, resources, { gpuIndices, spreadKey, workload });
  return { key, nodeId, demand };
}

const told = ({ moves }: ReturnType<typeof planRebalance>) =>
  moves.map(({ key, toNodeId, gpuIndices, reason }) => `${key} to ${toNodeId} ${gpuIndices}: ${reason}`);

describe("what it frees", () => {
  test("two moves empty a node of eight GPUs, so that a job for all eight fits", () => {
    const cluster = createCluster([node("a", 8), node("b", 8), node("c", 8)]);
    cluster.reserve("b", "job", gpus(6));
    cluster.reserve("c", "job2", gpus(7));
    const replicas = ["r1", "r2"].map((key) => put(cluster, "a", { key, resources: gpus(1) }));
    const plan = planRebalance(cluster, replicas, { maxMoves: 5, waiting: [gpus(8)] });
    expect(told(plan)).toEqual([
      "r1 to c 7: 1 of 2 moves that empty a with 8 GPUs",
      "r2 to b 6: 2 of 2 moves that empty a with 8 GPUs",
    ]);
    expect(plan.before).toMatchObject({ emptyNodes: 0, freeDevices: 9 });
    expect(plan.after).toMatchObject({ emptyNodes: 1, freeDevices: 9 });
    expect(plan.after.fragmentation).toBeLessThan(plan.before.fragmentation);
  });

  test("nothing moves when the budget does not pay off", () => {
    const cluster = createCluster([node("a", 8), node("b", 8)]);
    for (let i = 0; i < 6; i++) cluster.reserve("b", `job-${i}`, gpus(1));
    const replicas = ["r1", "r2"].map((key) => put(cluster, "a", { key, resources: gpus(1) }));
    expect(planRebalance(cluster, replicas, { maxMoves: 1 }).moves).toEqual([]);
    expect(planRebalance(cluster, replicas, { maxMoves: 2 }).moves).toHaveLength(2);
  });

  test("room that is of no use is filled, and room that is left in one piece", () => {
    const cluster = createCluster([node("a", 8), node("b", 8)]);
    cluster.reserve("a", "job", gpus(5));
    cluster.reserve("b", "job2", gpus(7));
    const replica = put(cluster, "a", { key: "r", resources: gpus(1) });
    const waits = planRebalance(cluster, [replica], { maxMoves: 5, waiting: [gpus(3)] });
    expect(told(waits)).toEqual(["r to b 7: makes room for 3 GPUs, 1 CPU on a"]);
    const fits = planRebalance(cluster, [replica], { maxMoves: 5, waiting: [gpus(2)] });
    expect(told(fits)).toEqual(["r to b 7: fills room on b that most typical demands cannot use"]);
  });

  test("parts of devices come together on one", () => {
    const cluster = createCluster([node("a", 2), node("b", 1)]);
    cluster.reserve("a", "job", part(500), { gpuIndices: [0] });
    cluster.reserve("b", "job2", part(500));
    const replica = put(cluster, "a", { key: "r", resources: part(500) }, [1]);
    const plan = planRebalance(cluster, [replica], { maxMoves: 5, waiting: [gpus(1)] });
    expect(told(plan)).toEqual(["r to b 0: frees gpu-1 of a entirely, where 1 GPU, 1 CPU will fit"]);
  });

  test("a replica without GPU leaves the node whose GPUs it keeps from being used", () => {
    const cluster = createCluster([node("a", 4), node("b", 0)]);
    cluster.reserve("b", "job", cpu(0.5));
    const replica = put(cluster, "a", { key: "r", resources: cpu(62.5) });
    cluster.reserve("a", "job2", gpus(1));
    const plan = planRebalance(cluster, [replica], { maxMoves: 1 });
    expect(told(plan)).toEqual(["r to b : makes room for 1 GPU, 1 CPU on a"]);
    expect(plan.after.fragmentation).toBeLessThan(plan.before.fragmentation);
  });

  test("nodes without GPU are emptied too, fullest target first", () => {
    const cluster = createCluster([node("a", 0), node("b", 0), node("c", 0)]);
    cluster.reserve("b", "job", cpu(40));
    cluster.reserve("c", "job2", cpu(20));
    const replicas = ["r1", "r2"].map((key) => put(cluster, "a", { key, resources: cpu(8) }));
    const plan = planRebalance(cluster, replicas, { maxMoves: 8 });
    expect(plan.moves.map(({ toNodeId }) => toNodeId)).toEqual(["b", "b"]);
    expect(plan.after.emptyNodes).toBe(1);
  });
});

describe("what it leaves alone", () => {
  /** One replica that could leave `a` for `b`, unless something forbids it. */
  function scene(change: (demand: Demand, nodes: Node[]) => Demand = (demand) => demand) {
    const nodes = [node("a", 8, { zone: "x" }), node("b", 8, { zone: "y" })];
    const demand = change({ key: "r", resources: gpus(1) }, nodes);
    const cluster = createCluster(nodes);
    cluster.reserve("b", "job", gpus(1), { spreadKey: "s", workload: "noise" });
    return { cluster, replica: put(cluster, "a", demand) };
  }
  const movesOf = ({ cluster, replica }: ReturnType<typeof scene>) =>
    planRebalance(cluster, [replica], { maxMoves: 5 }).moves.length;

  test("it would move", () => expect(movesOf(scene())).toBe(1));

  test.each<[string, (demand: Demand, nodes: Node[]) => Demand]>([
    ["labels", (demand) => ({ ...demand, placement: placement({ nodeSelector: { zone: "x" } }) })],
    ["spread over nodes", (demand) => ({ ...demand, spreadKey: "s" })],
    [
      "spread over zones",
      (demand) => ({ ...demand, spreadKey: "s", placement: placement({ spread: { label: "zone", maxSkew: 1 } }) }),
    ],
    [
      "what must be apart",
      (demand) => ({
        ...demand,
        placement: placement({ workloads: [{ workload: "noise", apart: true, required: true }] }),
      }),
    ],
    [
      "a cordoned target",
      (demand, [, b]) => {
        if (b !== undefined) b.cordoned = true;
        return demand;
      },
    ],
    [
      "a source that drains",
      (demand, [a]) => {
        if (a !== undefined) a.draining = true;
        return demand;
      },
    ],
    ["a full target", (demand) => ({ ...demand, resources: gpus(8) })],
  ])("%s", (_, change) => {
    expect(movesOf(scene(change))).toBe(0);
  });

  test("a replica that others must be near", () => {
    const { cluster, replica } = scene((demand) => ({ ...demand, workload: "cache" }));
    const near = placement({ workloads: [{ workload: "cache", required: true }] });
    cluster.reserve("b", "job2", gpus(1));
    const user = put(cluster, "a", { key: "user", resources: gpus(1), placement: near });
    expect(planRebalance(cluster, [replica, user], { maxMoves: 1, waiting: [gpus(7)] }).moves).toEqual([]);
    expect(planRebalance(cluster, [replica], { maxMoves: 1, waiting: [gpus(7)] }).moves).toHaveLength(1);
  });

  test("what is not where it is said to be", () => {
    const { cluster, replica } = scene();
    expect(planRebalance(cluster, [{ ...replica, nodeId: "b" }], { maxMoves: 5 }).moves).toEqual([]);
    expect(planRebalance(cluster, [{ ...replica, key: "gone" }], { maxMoves: 5 }).moves).toEqual([]);
  });
});

describe("the measure", () => {
  test("of an empty cluster, and of one without capacity left, is 0", () => {
    expect(measureFragmentation(createCluster())).toEqual({ fragmentation: 0, emptyNodes: 0, freeDevices: 0 });
    const cluster = createCluster([node("a", 2)]);
    cluster.reserve("a", "job", gpus(2));
    expect(measureFragmentation(cluster).fragmentation).toBe(0);
  });

  test("is the expected share of what does not fit, weighed by how frequent shapes are", () => {
    const cluster = createCluster([node("a", 2), node("b", 2)]);
    for (const nodeId of ["a", "b"]) cluster.reserve(nodeId, `job-${nodeId}`, gpus(1));
    // A device is free on each node: one in three typical demands, those for two devices, can use neither.
    expect(measureFragmentation(cluster, [gpus(2)]).fragmentation).toBeCloseTo(1 / 3);
    expect(measureFragmentation(cluster).fragmentation).toBe(0);
  });

  test("counts CPU on nodes without GPU, in nodes as large as the average", () => {
    const cluster = createCluster([node("a", 1), node("b", 0)]);
    cluster.reserve("b", "job", cpu(40));
    // 24 of 64 cores are free and a whole GPU; nothing typical asks for GPUs, and 40 cores do not fit any more.
    expect(measureFragmentation(cluster).fragmentation).toBeCloseTo(24 / 64 / (1 + 24 / 64));
  });

  test("leaves out nodes that take no work", () => {
    const cluster = createCluster([Object.assign(node("a", 2), { state: NodeState.LOST })]);
    expect(measureFragmentation(cluster, [gpus(4)])).toEqual({ fragmentation: 0, emptyNodes: 0, freeDevices: 0 });
  });
});
