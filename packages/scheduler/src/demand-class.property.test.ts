import { create } from "@bufbuild/protobuf";
import { NodeSchema, NodeState, PlacementSchema, ResourceRequestSchema } from "@kedge/proto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Cluster, createCluster } from "./cluster.ts";
import type { Demand } from "./demand.ts";
import { explain } from "./explain.ts";
import { place } from "./place.ts";

const nodeId = fc.nat(11).map((n) => `n${n}`);
const upsert = fc.record({
  kind: fc.constant("upsert" as const),
  id: nodeId,
  zone: fc.constantFrom("x", "y"),
  cpuMilli: fc.integer({ min: 1, max: 8 }),
  gpus: fc.nat(2),
  isReady: fc.nat(4).map((n) => n > 0),
  images: fc.subarray(["img"]),
});
const remove = fc.record({ kind: fc.constant("remove" as const), id: nodeId });
const release = fc.record({ kind: fc.constant("release" as const), nth: fc.nat(30) });
const ask = fc.record({ kind: fc.constant("ask" as const), shape: fc.nat(5), isKept: fc.boolean() });
const steps = fc.array(
  fc.oneof(
    { arbitrary: upsert, weight: 3 },
    { arbitrary: remove, weight: 1 },
    { arbitrary: release, weight: 2 },
    { arbitrary: ask, weight: 6 },
  ),
  { maxLength: 120 },
);
type Step = typeof steps extends fc.Arbitrary<readonly (infer S)[]> ? S : never;

const SHAPES: readonly Omit<Demand, "key">[] = [
  { resources: create(ResourceRequestSchema, { cpuMilli: 1 }) },
  { resources: create(ResourceRequestSchema, { cpuMilli: 2 }), artifacts: [{ name: "img", bytes: 2 ** 30 }] },
  { resources: create(ResourceRequestSchema, { cpuMilli: 1, gpu: { count: 1 } }) },
  { resources: create(ResourceRequestSchema, { gpu: { shareMilli: 400 } }) },
  { resources: create(ResourceRequestSchema, { cpuMilli: 1 }), spreadKey: "copies" },
  {
    resources: create(ResourceRequestSchema, { cpuMilli: 1 }),
    spreadKey: "even",
    placement: create(PlacementSchema, { spread: { label: "zone", maxSkew: 1 } }),
  },
];

test("whatever happened before, the index gives the node that a look at all of them gives", () => {
  fc.assert(
    fc.property(steps, (sequence) => {
      const cluster = createCluster();
      for (const [i, step] of sequence.entries()) perform(cluster, step, `k${i}`);
    }),
    { numRuns: 300 },
  );
});

function perform(cluster: Cluster, step: Step, key: string): void {
  switch (step.kind) {
    case "upsert":
      upsertNode(cluster, step);
      return;
    case "remove":
      cluster.removeNode(step.id);
      return;
    case "release":
      cluster.release(`k${step.nth}`);
      return;
    default:
      askFor(cluster, { key, ...SHAPES[step.shape] }, step.isKept);
  }
}

function askFor(cluster: Cluster, demand: Demand, isKept: boolean): void {
  const result = place(cluster, demand);
  expect(explain(cluster, demand).chosenNodeId).toBe(result.kind === "placed" ? result.nodeId : "");
  if (result.kind === "unplaced" || !isKept) return;
  const { nodeId, gpuIndices } = result;
  const artifacts = demand.artifacts?.map(({ name }) => name);
  cluster.reserve(nodeId, demand.key, demand.resources, { gpuIndices, spreadKey: demand.spreadKey, artifacts });
}

function upsertNode(cluster: Cluster, { id, zone, cpuMilli, gpus, isReady, images }: Step & { kind: "upsert" }): void {
  const devices = Array.from({ length: gpus }, (_, index) => ({ index, uuid: `${id}-${index}` }));
  const node = create(NodeSchema, {
    id,
    labels: { zone },
    state: isReady ? NodeState.READY : NodeState.LOST,
    capacity: { cpuMilli, gpus: devices },
  });
  cluster.upsertNode(node, { images });
}
