import { clone, create } from "@bufbuild/protobuf";
import {
  type GpuDevice,
  GpuDeviceSchema,
  type Node,
  type NodeRejection,
  NodeRejection_Reason,
  NodeSchema,
  NodeState,
  PlacementSchema,
  QuarantineState,
  type ResourceRequest,
  ResourceRequestSchema,
  RuntimeKind,
} from "@kedge/proto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Cluster, createCluster } from "./cluster.ts";
import type { Demand } from "./demand.ts";
import { explain } from "./explain.ts";
import { place } from "./place.ts";
import { PROBATION_WORK } from "./set-aside-nodes.ts";

const gpu = fc.record({ model: fc.constantFrom("A", "B"), memoryMib: fc.constantFrom(10, 20) });
const nodeArbitrary = fc
  .record({
    zone: fc.constantFrom("x", "x", "y"),
    taints: fc.subarray(["t"]),
    cordoned: fc.nat(5).map((n) => n === 0),
    quarantine: fc.option(
      fc.constantFrom(QuarantineState.ACTIVE, QuarantineState.PROBATION).map((state) => ({ state })),
      { freq: 3 },
    ),
    draining: fc.nat(5).map((n) => n === 0),
    state: fc.constantFrom(NodeState.READY, NodeState.READY, NodeState.READY, NodeState.LOST),
    runtimes: fc.boolean().map((both) => (both ? [RuntimeKind.DOCKER, RuntimeKind.PROCESS] : [RuntimeKind.DOCKER])),
    cpuMilli: fc.nat(8),
    memoryMib: fc.nat(8),
    camera: fc.nat(2),
    gpus: fc.array(gpu, { maxLength: 3 }),
  })
  .map(({ zone, cpuMilli, memoryMib, camera, gpus, quarantine, ...rest }) =>
    create(NodeSchema, {
      ...rest,
      ...(quarantine === null ? {} : { quarantine }),
      labels: { zone },
      capacity: {
        cpuMilli,
        memoryMib,
        custom: { camera },
        gpus: gpus.map((device, index) => ({ ...device, index, uuid: `u${index}` })),
      },
    }),
  );
const nodesArbitrary = fc
  .array(nodeArbitrary, { minLength: 1, maxLength: 5 })
  .map((nodes) => nodes.map((node, i) => Object.assign(node, { id: `n${i}` })));

const gpuRequest = fc.oneof(
  { arbitrary: fc.constant(undefined), weight: 3 },
  {
    arbitrary: fc.record({
      count: fc.integer({ min: 1, max: 2 }),
      memoryMib: fc.constantFrom(0, 15),
      model: fc.constantFrom("", "A"),
    }),
    weight: 1,
  },
  {
    arbitrary: fc.record({
      shareMilli: fc.constantFrom(200, 500, 800),
      memoryMib: fc.constantFrom(0, 4, 8, 15),
      model: fc.constantFrom("", "B"),
    }),
    weight: 1,
  },
);
const demandArbitrary = fc.record({
  resources: fc
    .record({ cpuMilli: fc.nat(4), memoryMib: fc.nat(4), camera: fc.nat(1), gpu: gpuRequest })
    .map(({ cpuMilli, memoryMib, camera, gpu }) =>
      create(ResourceRequestSchema, { cpuMilli, memoryMib, custom: { camera }, ...(gpu ? { gpu } : {}) }),
    ),
  placement: fc
    .record({ zone: fc.constantFrom(undefined, "x", "y"), tolerations: fc.subarray(["t"]) })
    .map(({ zone, tolerations }) => create(PlacementSchema, { nodeSelector: zone ? { zone } : {}, tolerations })),
  runtime: fc.constantFrom(RuntimeKind.UNSPECIFIED, RuntimeKind.DOCKER, RuntimeKind.PROCESS),
  spreadKey: fc.constantFrom(undefined, "s"),
});
type AnyDemand = Omit<Demand, "key"> & { readonly resources: ResourceRequest };

/** Places all demands one after the other and gives some of them back. */
function fill(nodes: readonly Node[], demands: readonly AnyDemand[], released: ReadonlySet<number>): Filled {
  const cluster = createCluster(nodes);
  const placed: Placed[] = [];
  for (const [i, demand] of demands.entries()) {
    const result = place(cluster, { key: `k${i}`, ...demand });
    if (result.kind === "unplaced") continue;
    const { nodeId, gpuIndices } = result;
    cluster.reserve(nodeId, `k${i}`, demand.resources, { gpuIndices, spreadKey: demand.spreadKey });
    if (released.has(i)) cluster.release(`k${i}`);
    else placed.push({ nodeId, gpuIndices, demand });
  }
  return { cluster, placed };
}

interface Placed {
  readonly nodeId: string;
  readonly gpuIndices: readonly number[];
  readonly demand: AnyDemand;
}
interface Filled {
  readonly cluster: Cluster;
  readonly placed: readonly Placed[];
}

const scene = fc.tuple(
  nodesArbitrary,
  fc.array(demandArbitrary, { maxLength: 20 }),
  fc.array(fc.nat(19), { maxLength: 5 }).map((indices) => new Set(indices)),
);

test("never over capacity, constraints held", () => {
  fc.assert(
    fc.property(scene, ([nodes, demands, released]) => {
      const { placed } = fill(nodes, demands, released);
      for (const node of nodes) assertWithinCapacity(node, placed);
      for (const { nodeId, demand } of placed) assertMatches(nodeById(nodes, nodeId), demand);
    }),
    { numRuns: 300 },
  );
});

test("the same demands on the same nodes, in any order of arrival of the nodes, go the same way", () => {
  fc.assert(
    fc.property(scene, ([nodes, demands, released]) => {
      const there = fill(nodes, demands, released).placed;
      expect(fill([...nodes].reverse(), demands, released).placed).toEqual(there);
    }),
  );
});

test("work conserving: what is not placed fits no node by brute force, and what fits is placed", () => {
  fc.assert(
    fc.property(scene, demandArbitrary, ([nodes, demands, released], last) => {
      const { cluster, placed } = fill(nodes, demands, released);
      const result = place(cluster, { key: "last", ...last });
      const fits = nodes.some((node) => fitsByBruteForce(node, placed, last));
      expect(result.kind).toBe(fits ? "placed" : "unplaced");
      const everFits = nodes.some((node) => fitsByBruteForce(idle(node), [], last));
      if (result.kind === "unplaced") expect(result.explanation.impossible).toBe(!everFits);
      expect(explain(cluster, { key: "last", ...last }).chosenNodeId).toBe(
        result.kind === "placed" ? result.nodeId : "",
      );
    }),
    { numRuns: 300 },
  );
});

test("explanations are true: with each named obstacle undone, the demand fits", () => {
  fc.assert(
    fc.property(scene, demandArbitrary, ([nodes, demands, released], last) => {
      const { cluster, placed } = fill(nodes, demands, released);
      const result = place(cluster, { key: "last", ...last });
      if (result.kind === "placed") return;
      expect(result.explanation.rejections).toHaveLength(nodes.length);
      for (const rejection of result.explanation.rejections) {
        expect(fitsAfterUndoing(nodeById(nodes, rejection.nodeId), placed, last, rejection)).toBe(true);
      }
    }),
    { numRuns: 300 },
  );
});

/** Undoes the obstacle named, then the next one named, and so on; none may be named twice. */
function fitsAfterUndoing(node: Node, placed: readonly Placed[], demand: AnyDemand, first: NodeRejection): boolean {
  const here = placed.filter(({ nodeId }) => nodeId === node.id);
  let changed = clone(NodeSchema, node);
  const seen = new Set<string>();
  for (let named: NodeRejection | undefined = first; named !== undefined; ) {
    const name = `${named.reason} ${named.subject} ${named.free}`;
    if (seen.has(name)) return false;
    seen.add(name);
    changed = undo(changed, named, demand);
    const cluster = createCluster([changed]);
    for (const [i, { gpuIndices, demand }] of here.entries()) {
      cluster.reserve(node.id, `k${i}`, demand.resources, { gpuIndices });
    }
    const result = place(cluster, { key: "last", ...demand });
    if (result.kind === "placed") return true;
    named = result.explanation.rejections[0];
  }
  return false;
}

function undo(node: Node, { reason, subject, wanted, free }: NodeRejection, demand: AnyDemand): Node {
  const { capacity } = node;
  if (reason === NodeRejection_Reason.NOT_READY) node.state = NodeState.READY;
  else if (reason === NodeRejection_Reason.CORDONED) Object.assign(node, { cordoned: false, draining: false });
  else if (reason === NodeRejection_Reason.QUARANTINED) delete node.quarantine;
  else if (reason === NodeRejection_Reason.LABEL_MISMATCH) node.labels = { ...demand.placement?.nodeSelector };
  else if (reason === NodeRejection_Reason.TAINTED) node.taints = node.taints.filter((taint) => taint !== subject);
  else if (reason === NodeRejection_Reason.RUNTIME_MISSING) node.runtimes.push(RuntimeKind.PROCESS);
  else if (capacity === undefined) throw new Error("resources short on a node without capacity");
  else if (subject === "cpu_milli") capacity.cpuMilli += wanted - free;
  else if (subject === "memory_mib") capacity.memoryMib += wanted - free;
  else if (subject === "custom.camera") capacity.custom["camera"] = (capacity.custom["camera"] ?? 0) + wanted - free;
  else addDevices(node, subject, demand);
  return node;
}

/** The shortage of a GPU dimension is undone by devices that have just what is named and are poor in all else. */
function addDevices({ capacity }: Node, subject: string, { resources }: AnyDemand): void {
  const gpu = resources.gpu;
  const gpus = capacity?.gpus ?? [];
  for (let i = 0; i < Math.max(1, gpu?.count ?? 0); i++) {
    const memoryMib = subject === "gpu.model" ? 1 : Math.max(1, gpu?.memoryMib ?? 0);
    const device = { index: gpus.length, uuid: "new", model: gpu?.model || "Z", memoryMib };
    gpus.push(create(GpuDeviceSchema, device));
  }
}

function fitsByBruteForce(node: Node, placed: readonly Placed[], demand: AnyDemand): boolean {
  if (!matches(node, demand)) return false;
  const isFull = placed.filter(({ nodeId }) => nodeId === node.id).length >= PROBATION_WORK;
  if (node.quarantine !== undefined && isFull) return false;
  const devices = node.capacity?.gpus ?? [];
  const { gpu } = demand.resources;
  const choices =
    gpu === undefined
      ? [[]]
      : subsets(
          devices.map(({ index }) => index),
          Math.max(1, gpu.count),
        );
  return choices.some((gpuIndices) => isWithinCapacity(node, [...placed, { nodeId: node.id, gpuIndices, demand }]));
}

function matches(node: Node, { placement, runtime }: AnyDemand): boolean {
  const zone = placement?.nodeSelector["zone"];
  return (
    node.state === NodeState.READY &&
    !node.cordoned &&
    !node.draining &&
    node.quarantine?.state !== QuarantineState.ACTIVE &&
    (zone === undefined || node.labels["zone"] === zone) &&
    node.taints.every((taint) => placement?.tolerations.includes(taint)) &&
    (!runtime || node.runtimes.includes(runtime))
  );
}

function isWithinCapacity(node: Node, placed: readonly Placed[]): boolean {
  const here = placed.filter(({ nodeId }) => nodeId === node.id);
  const sum = (amount: (request: ResourceRequest) => number): number =>
    here.reduce((total, { demand }) => total + amount(demand.resources), 0);
  return (
    sum(({ cpuMilli }) => cpuMilli) <= (node.capacity?.cpuMilli ?? 0) &&
    sum(({ memoryMib }) => memoryMib) <= (node.capacity?.memoryMib ?? 0) &&
    sum(({ custom }) => custom["camera"] ?? 0) <= (node.capacity?.custom["camera"] ?? 0) &&
    (node.capacity?.gpus ?? []).every((device) => isDeviceShared(device, here))
  );
}

function isDeviceShared({ index, model, memoryMib }: GpuDevice, here: readonly Placed[]): boolean {
  const requests = here.flatMap(({ gpuIndices, demand }) =>
    gpuIndices.includes(index) && demand.resources.gpu ? [demand.resources.gpu] : [],
  );
  const fitting = requests.every((gpu) => (gpu.model === "" || gpu.model === model) && gpu.memoryMib <= memoryMib);
  if (requests.some((gpu) => gpu.count > 0)) return fitting && requests.length === 1;
  const share = requests.reduce((total, gpu) => total + gpu.shareMilli, 0);
  return fitting && share <= 1000 && requests.reduce((total, gpu) => total + gpu.memoryMib, 0) <= memoryMib;
}

function assertWithinCapacity(node: Node, placed: readonly Placed[]): void {
  expect(isWithinCapacity(node, placed)).toBe(true);
}

function assertMatches(node: Node, demand: AnyDemand): void {
  expect(matches(node, demand)).toBe(true);
}

function idle(node: Node): Node {
  const well = { state: NodeState.READY, cordoned: false, draining: false };
  const changed = Object.assign(clone(NodeSchema, node), well);
  delete changed.quarantine;
  return changed;
}

function nodeById(nodes: readonly Node[], id: string): Node {
  const node = nodes.find((candidate) => candidate.id === id);
  if (node === undefined) throw new Error(`placed on a node that is not there: ${id}`);
  return node;
}

function subsets(items: readonly number[], size: number): number[][] {
  if (size === 0) return [[]];
  return items.flatMap((item, i) => subsets(items.slice(i + 1), size - 1).map((rest) => [item, ...rest]));
}
