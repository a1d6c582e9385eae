import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Node, NodeSchema, NodeState, PlacementSchema, ResourceRequestSchema } from "@kedge/proto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Cluster, createCluster } from "./cluster.ts";
import type { Demand } from "./demand.ts";
import { fits, type MovableReplica, measureFragmentation, planRebalance, type RebalancePlan } from "./index.ts";

const nodeArbitrary = fc.record({
  zone: fc.constantFrom("x", "y"),
  cpuMilli: fc.constantFrom(8_000, 16_000),
  gpus: fc.constantFrom(0, 0, 2, 4),
  cordoned: fc.nat(9).map((n) => n === 0),
});
const nodesArbitrary = fc.array(nodeArbitrary, { minLength: 2, maxLength: 7 }).map((nodes) =>
  nodes.map(({ zone, cpuMilli, gpus, cordoned }, i) =>
    create(NodeSchema, {
      id: `n${i}`,
      labels: { zone },
      state: NodeState.READY,
      cordoned,
      capacity: {
        cpuMilli,
        gpus: Array.from({ length: gpus }, (_, index) => ({ index, memoryMib: 1_000 })),
      },
    }),
  ),
);

const gpuArbitrary = fc.oneof(
  fc.constant(undefined),
  fc.record({ count: fc.integer({ min: 1, max: 2 }) }),
  fc.record({ shareMilli: fc.constantFrom(250, 500), memoryMib: fc.constantFrom(0, 400) }),
);
type Kind = "plain" | "zone" | "spread" | "distinct" | "near" | "apart";
const workArbitrary = fc.record({
  node: fc.nat(6),
  isMovable: fc.nat(3).map((n) => n > 0),
  cpuMilli: fc.constantFrom(500, 1_000, 3_000),
  gpu: gpuArbitrary,
  group: fc.constantFrom(undefined, undefined, "s", "t"),
  kind: fc.constantFrom<Kind>("plain", "plain", "zone", "near", "apart"),
});
/** What all copies of a group ask for: they come from one template. */
const groupKind = fc.constantFrom<Kind>("plain", "spread", "distinct");
type Work = typeof workArbitrary extends fc.Arbitrary<infer T> ? T : never;

interface Scene {
  readonly nodes: readonly Node[];
  readonly works: readonly Work[];
}
const sceneArbitrary: fc.Arbitrary<Scene> = fc.record({
  nodes: nodesArbitrary,
  works: fc
    .tuple(fc.array(workArbitrary, { minLength: 1, maxLength: 25 }), groupKind, groupKind)
    .map(([works, s, t]) => works.map((work) => ({ ...work, kind: kindOf(work, { s, t }) }))),
});
const kindOf = ({ group, kind }: Work, groups: Readonly<Record<string, Kind>>): Kind =>
  group === undefined ? kind : (groups[group] ?? kind);
const budget = fc.integer({ min: 0, max: 6 });

const PLACEMENTS: Readonly<Record<Kind, MessageInitShape<typeof PlacementSchema>>> = {
  plain: {},
  zone: { nodeSelector: { zone: "x" } },
  spread: { spread: { label: "zone", maxSkew: 1 } },
  distinct: { distinctNodes: true },
  near: { workloads: [{ workload: "s", required: true }] },
  apart: { workloads: [{ workload: "t", required: true, apart: true }] },
};

function demandOf(work: Work, i: number): Demand {
  const { cpuMilli, gpu, group, kind } = work;
  return {
    key: `r${i}`,
    resources: create(ResourceRequestSchema, { cpuMilli, ...(gpu === undefined ? {} : { gpu }) }),
    placement: create(PlacementSchema, PLACEMENTS[kind]),
    spreadKey: group,
    workload: group,
  };
}

/** Puts each piece of work on its node if it fits there, scattered as a cluster is after a while. */
function build({ nodes, works }: Scene): { cluster: Cluster; replicas: MovableReplica[] } {
  const cluster = createCluster(nodes);
  const replicas: MovableReplica[] = [];
  for (const [i, work] of works.entries()) {
    const demand = demandOf(work, i);
    const nodeId = `n${work.node % nodes.length}`;
    const fit = fits(cluster, nodeId, demand);
    if (fit.kind !== "fits") continue;
    reserve(cluster, nodeId, demand, fit.gpuIndices);
    if (work.isMovable) replicas.push({ key: demand.key, nodeId, demand });
  }
  return { cluster, replicas };
}

function reserve(cluster: Cluster, nodeId: string, demand: Demand, gpuIndices: readonly number[]): void {
  const { key, resources, spreadKey, workload } = demand;
  cluster.reserve(nodeId, key, resources, { gpuIndices, spreadKey, workload });
}

/** Every reservation, and every node as it stands. */
function snapshot(cluster: Cluster, { nodes }: Scene) {
  return nodes.map(({ id }) => ({
    node: cluster.node(id),
    held: cluster.reservationsOn(id).toSorted((a, b) => (a.key < b.key ? -1 : 1)),
  }));
}

/** Makes the moves one after the other, the new copy first; `check` sees the cluster when both are there, and after. */
function replay(
  { cluster, replicas }: ReturnType<typeof build>,
  { moves }: RebalancePlan,
  check: { during?: (move: RebalancePlan["moves"][number], demand: Demand) => void; after?: (i: number) => void },
): void {
  for (const [i, move] of moves.entries()) {
    const demand = replicas.find(({ key }) => key === move.key)?.demand;
    if (demand === undefined) throw new Error(`moved something else: ${move.key}`);
    check.during?.(move, demand);
    reserve(cluster, move.toNodeId, demand, move.gpuIndices);
    check.after?.(i);
  }
}

test("bounded, each replica once, between nodes", () => {
  fc.assert(
    fc.property(sceneArbitrary, budget, (scene, maxMoves) => {
      const { cluster, replicas } = build(scene);
      const { moves } = planRebalance(cluster, replicas, { maxMoves });
      expect(moves.length).toBeLessThanOrEqual(maxMoves);
      expect(new Set(moves.map(({ key }) => key)).size).toBe(moves.length);
      for (const { key, fromNodeId, toNodeId } of moves) {
        expect(replicas).toContainEqual(expect.objectContaining({ key, nodeId: fromNodeId }));
        expect(toNodeId).not.toBe(fromNodeId);
      }
    }),
  );
});

test("the cluster is left as it was, and the same cluster gives the same plan", () => {
  fc.assert(
    fc.property(sceneArbitrary, budget, (scene, maxMoves) => {
      const { cluster, replicas } = build(scene);
      const before = snapshot(cluster, scene);
      const plan = planRebalance(cluster, replicas, { maxMoves });
      expect(snapshot(cluster, scene)).toEqual(before);
      expect(planRebalance(cluster, replicas.toReversed(), { maxMoves })).toEqual(plan);
    }),
  );
});

test("every move has room, and meets every condition, while the old replica is still there", () => {
  fc.assert(
    fc.property(sceneArbitrary, budget, (scene, maxMoves) => {
      const built = build(scene);
      replay(built, planRebalance(built.cluster, built.replicas, { maxMoves }), {
        during: ({ toNodeId, gpuIndices }, demand) =>
          expect(fits(built.cluster, toNodeId, demand)).toEqual({ kind: "fits", gpuIndices }),
      });
    }),
    { numRuns: 300 },
  );
});

test("all moves fit at once: no room is used that another move frees", () => {
  fc.assert(
    fc.property(sceneArbitrary, budget, (scene, maxMoves) => {
      const { cluster, replicas } = build(scene);
      for (const { key, toNodeId, gpuIndices } of planRebalance(cluster, replicas, { maxMoves }).moves) {
        const demand = replicas.find((replica) => replica.key === key)?.demand;
        // Room only: what must be apart, or even, is so at each move in order, not with all copies there twice.
        const bare = { key: `${key}-new`, resources: demand?.resources };
        const fit = fits(cluster, toNodeId, bare);
        expect(fit).toEqual({ kind: "fits", gpuIndices });
        cluster.reserve(toNodeId, bare.key, bare.resources, { gpuIndices });
      }
    }),
    { numRuns: 300 },
  );
});

test("no condition of a movable replica that held before is broken after", () => {
  fc.assert(
    fc.property(sceneArbitrary, budget, (scene, maxMoves) => {
      const built = build(scene);
      const { cluster, replicas } = built;
      const before = brokenConditions(cluster, replicas);
      const plan = planRebalance(cluster, replicas, { maxMoves });
      replay(built, plan, {
        after: (i) => {
          if (plan.moves[i + 1]?.step === plan.moves[i]?.step) return;
          for (const key of brokenConditions(cluster, replicas)) expect(before).toContain(key);
        },
      });
    }),
    { numRuns: 300 },
  );
});

/** The replicas that would not fit where they are if they came now. */
function brokenConditions(cluster: Cluster, replicas: readonly MovableReplica[]): string[] {
  return replicas.flatMap(({ key, demand }) => {
    const held = cluster.reservation(key);
    if (held === undefined) throw new Error(`a replica is gone: ${key}`);
    cluster.release(key);
    const { kind } = fits(cluster, held.nodeId, demand);
    reserve(cluster, held.nodeId, demand, held.gpuIndices);
    return kind === "fits" ? [] : [key];
  });
}

test("no step makes the measure worse, each makes it better, and the plan tells it as it is", () => {
  fc.assert(
    fc.property(sceneArbitrary, budget, (scene, maxMoves) => {
      const built = build(scene);
      const plan = planRebalance(built.cluster, built.replicas, { maxMoves });
      let last = measureFragmentation(built.cluster);
      expectAbout(plan.before, last);
      replay(built, plan, {
        after: (i) => {
          if (plan.moves[i + 1]?.step === plan.moves[i]?.step) return;
          const now = measureFragmentation(built.cluster);
          expect(now.fragmentation).toBeLessThanOrEqual(last.fragmentation + 1e-8);
          expect(now.emptyNodes).toBeGreaterThanOrEqual(last.emptyNodes);
          expect(now.freeDevices).toBeGreaterThanOrEqual(last.freeDevices);
          const isBetter =
            now.fragmentation < last.fragmentation ||
            now.emptyNodes + now.freeDevices > last.emptyNodes + last.freeDevices;
          expect(isBetter).toBe(true);
          last = now;
        },
      });
      expectAbout(plan.after, last);
    }),
    { numRuns: 300 },
  );
});

function expectAbout(plan: RebalancePlan["before"], real: RebalancePlan["before"]): void {
  expect(plan).toEqual({ ...real, fragmentation: expect.closeTo(real.fragmentation, 8) });
}

test("stops only when no single move helps, by brute force", () => {
  const plain = sceneArbitrary.map(({ nodes, works }) => ({
    nodes,
    works: works.map((work) => ({ ...work, group: undefined, kind: "plain" as const })),
  }));
  fc.assert(
    fc.property(plain, (scene) => {
      const built = build(scene);
      const { cluster, replicas } = built;
      const plan = planRebalance(cluster, replicas, { maxMoves: 100 });
      replay(built, plan, {});
      const moved = new Set(plan.moves.map(({ key }) => key));
      const targets = scene.nodes.filter(({ id }) => !plan.moves.some(({ fromNodeId }) => fromNodeId === id));
      for (const replica of replicas.filter(({ key }) => !moved.has(key))) {
        for (const { id } of targets) expect(isUseful(cluster, replica, id)).toBe(false);
      }
    }),
    { numRuns: 300 },
  );
});

/** Whether moving it there makes the measure better, and nothing in it worse. */
function isUseful(cluster: Cluster, { key, nodeId, demand }: MovableReplica, to: string): boolean {
  const node = cluster.node(nodeId);
  const movesOntoGpus = demand.resources?.gpu === undefined && node?.capacity?.gpus.length === 0;
  if (cluster.reservationsOn(to).length === 0 || to === nodeId || node?.cordoned) return false;
  if (movesOntoGpus && cluster.node(to)?.capacity?.gpus.length !== 0) return false;
  const [held, fit] = [cluster.reservation(key), fits(cluster, to, demand)];
  if (held === undefined || fit.kind !== "fits") return false;
  const before = measureFragmentation(cluster);
  reserve(cluster, to, demand, fit.gpuIndices);
  const after = measureFragmentation(cluster);
  reserve(cluster, nodeId, demand, held.gpuIndices);
  const gains = [
    before.fragmentation - after.fragmentation,
    after.emptyNodes - before.emptyNodes,
    after.freeDevices - before.freeDevices,
  ];
  return gains.every((gain) => gain > -1e-8) && gains.some((gain) => gain > 1e-8);
}
