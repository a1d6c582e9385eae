// Placements a second on clusters of 1,000, 5,000 and 10,000 nodes with GPUs, labels, taints and constraints; one placement is
// place + reserve, and a release of an old one while the cluster is kept nearly full. Beside it: a look at every node.
import { create } from "@bufbuild/protobuf";
import { LabelConstraint_Operator, NodeSchema, NodeState, PlacementSchema, ResourceRequestSchema } from "@kedge/proto";
import { createCluster, explain, place } from "@kedge/scheduler";

const GOAL_PER_SECOND = 20_000;
const GOAL_GROWTH = 2;
const DEMANDS = 60_000;
/** Demands held at once for each node: nearly full, so that choosing well is hard, but few find no room. */
const PER_NODE = 3;

const results = new Map();
for (const size of [1_000, 5_000, 10_000]) results.set(size, measure(size));
for (const [size, { perSecond, unplaced, scanMicros }] of results) {
  const micros = 1e6 / perSecond;
  console.log(
    `${size} nodes: ${perSecond.toFixed(0)} placements/s (${micros.toFixed(1)} us each; a look at every node ${scanMicros.toFixed(0)} us), ` +
      `${unplaced} of ${DEMANDS} demands found no room${size === 5_000 ? `; goal >= ${GOAL_PER_SECOND}/s` : ""}`,
  );
}
const growth = results.get(1_000).perSecond / results.get(10_000).perSecond;
console.log(`cost of a placement from 1,000 to 10,000 nodes: ${growth.toFixed(2)} times; goal < ${GOAL_GROWTH}`);

function measure(size) {
  const random = randomFrom(size);
  const cluster = createCluster(Array.from({ length: size }, (_, i) => nodeOf(i, random)));
  const shapes = demandShapes();
  const living = [];
  const most = size * PER_NODE;
  let [unplaced, began] = [0, 0];
  for (let i = 0; i < 2 * most + DEMANDS; i++) {
    if (i === 2 * most) [unplaced, began] = [0, performance.now()];
    const demand = { ...shapes[Math.floor(random() * shapes.length)], key: `t${i}` };
    if (living.length >= most) {
      const at = Math.floor(random() * living.length);
      cluster.release(living[at]);
      living[at] = living.at(-1);
      living.pop();
    }
    const result = place(cluster, demand);
    if (result.kind === "unplaced") unplaced++;
    else {
      cluster.reserve(result.nodeId, demand.key, demand.resources, { gpuIndices: result.gpuIndices });
      living.push(demand.key);
    }
  }
  const seconds = (performance.now() - began) / 1000;
  assertWithinCapacity(cluster, size);
  // Demands without room are decided faster; they do not count, their time does.
  return { perSecond: (DEMANDS - unplaced) / seconds, unplaced, scanMicros: scanTime(cluster, shapes) };
}

function scanTime(cluster, shapes) {
  const began = performance.now();
  for (const shape of shapes.slice(0, 8)) explain(cluster, { ...shape, key: "scan" });
  return ((performance.now() - began) * 1000) / 8;
}

function nodeOf(i, random) {
  const kind = random();
  const gpus = kind < 0.3 ? 8 : kind < 0.5 ? 2 : 0;
  const model = random() < 0.5 ? "A100" : "T4";
  return create(NodeSchema, {
    id: `node-${i}`,
    state: NodeState.READY,
    labels: { zone: `z${i % 3}`, arch: random() < 0.8 ? "amd64" : "arm64", disk: random() < 0.5 ? "ssd" : "hdd" },
    taints: gpus > 0 && random() < 0.5 ? ["gpu"] : [],
    capacity: {
      cpuMilli: gpus > 0 ? 96_000 : 32_000,
      memoryMib: gpus > 0 ? 393_216 : 131_072,
      diskMib: 1_000_000,
      gpus: Array.from({ length: gpus }, (_, index) => ({ index, uuid: `${i}-${index}`, model, memoryMib: 40_960 })),
    },
  });
}

function demandShapes() {
  const ssd = { label: "disk", operator: LabelConstraint_Operator.IN, values: ["ssd"] };
  const placements = [
    create(PlacementSchema),
    create(PlacementSchema, { nodeSelector: { arch: "amd64" }, tolerations: ["gpu"] }),
    create(PlacementSchema, { constraints: [ssd], tolerations: ["gpu"] }),
  ];
  const requests = [
    { cpuMilli: 2_000, memoryMib: 4_096 },
    { cpuMilli: 8_000, memoryMib: 16_384, diskMib: 10_000 },
    { cpuMilli: 500, memoryMib: 1_024 },
    { cpuMilli: 8_000, memoryMib: 32_768, gpu: { count: 1 } },
    { cpuMilli: 16_000, memoryMib: 65_536, gpu: { count: 2, model: "A100" } },
    { cpuMilli: 4_000, memoryMib: 8_192, gpu: { shareMilli: 300, memoryMib: 8_192 } },
    { cpuMilli: 2_000, memoryMib: 8_192, gpu: { shareMilli: 500, memoryMib: 16_384 } },
    { cpuMilli: 64_000, memoryMib: 262_144, gpu: { count: 8 } },
  ];
  return placements.flatMap((placement) =>
    requests.map((request) => ({ placement, resources: create(ResourceRequestSchema, request) })),
  );
}

function assertWithinCapacity(cluster, size) {
  for (let i = 0; i < size; i++) {
    const { capacity } = cluster.node(`node-${i}`);
    const held = cluster.reservationsOn(`node-${i}`);
    const cpu = held.reduce((sum, { resources }) => sum + resources.cpuMilli, 0);
    const memory = held.reduce((sum, { resources }) => sum + resources.memoryMib, 0);
    const shares = new Map();
    for (const { resources, gpuIndices } of held) {
      const share = resources.gpu?.count > 0 ? 1000 : (resources.gpu?.shareMilli ?? 0);
      for (const index of gpuIndices) shares.set(index, (shares.get(index) ?? 0) + share);
    }
    const isOver = cpu > capacity.cpuMilli || memory > capacity.memoryMib || Math.max(0, ...shares.values()) > 1000;
    if (isOver) throw new Error(`node-${i} holds more than it has`);
  }
}

/** A small deterministic generator (mulberry32, public domain). */
function randomFrom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let z = Math.imul(state ^ (state >>> 15), 1 | state);
    z ^= z + Math.imul(z ^ (z >>> 7), 61 | z);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}
