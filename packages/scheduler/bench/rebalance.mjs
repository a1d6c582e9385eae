// What a rebalance gains and takes, next to the usual way of making nodes free: emptying the emptiest node first with the
// same number of moves (as the Kubernetes descheduler's HighNodeUtilization does), and to reading the cluster once.
// Run: node -C kedge-source packages/scheduler/bench/rebalance.mjs [nodes] [replicas] [moves]
import { create } from "@bufbuild/protobuf";
import { NodeSchema, NodeState, ResourceRequestSchema } from "@kedge/proto";
import { createCluster, fits, measureFragmentation, place, planRebalance } from "@kedge/scheduler";

const [nodes = 5000, replicas = 10000, maxMoves = 100] = process.argv.slice(2).map(Number);
const SHAPES = [
  { cpuMilli: 2000, memoryMib: 8192, gpu: { shareMilli: 250 } },
  { cpuMilli: 2000, memoryMib: 8192, gpu: { shareMilli: 500 } },
  { cpuMilli: 4000, memoryMib: 16384, gpu: { count: 1 } },
  { cpuMilli: 4000, memoryMib: 32768, gpu: { count: 2 } },
  { cpuMilli: 8000, memoryMib: 65536, gpu: { count: 4 } },
  { cpuMilli: 4000, memoryMib: 8192 },
].map((shape) => create(ResourceRequestSchema, shape));

/** A generator of numbers from 0 to 1 that gives the same ones each time (mulberry32). */
function randomFrom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Half of the nodes have 4 GPUs; replicas are where they happened to find room, as after many comings and goings. */
function scattered() {
  const random = randomFrom(7);
  const gpus = Array.from({ length: 4 }, (_, index) => ({ index, memoryMib: 40960 }));
  const cluster = createCluster(
    Array.from({ length: nodes }, (_, i) =>
      create(NodeSchema, {
        id: `node-${i}`,
        state: NodeState.READY,
        capacity: { cpuMilli: 16000, memoryMib: 131072, gpus: i % 2 === 0 ? gpus : [] },
      }),
    ),
  );
  const movable = [];
  for (let i = 0; movable.length < replicas && i < 20 * replicas; i++) {
    const demand = { key: `r${i}`, resources: SHAPES[Math.floor(random() * SHAPES.length)] };
    const nodeId = `node-${Math.floor(random() * nodes)}`;
    const fit = fits(cluster, nodeId, demand);
    if (fit.kind !== "fits") continue;
    cluster.reserve(nodeId, demand.key, demand.resources, { gpuIndices: fit.gpuIndices });
    movable.push({ key: demand.key, nodeId, demand });
  }
  return { cluster, movable };
}

/** The usual way: takes the emptiest nodes apart, each replica to where the scheduler would place it. */
function drainEmptiest({ cluster, movable }) {
  const byNode = Map.groupBy(movable, ({ nodeId }) => nodeId);
  const emptiest = [...byNode].sort(([, a], [, b]) => a.length - b.length);
  let moves = 0;
  for (const [nodeId, here] of emptiest) {
    if (moves + here.length > maxMoves) break;
    cluster.upsertNode({ ...cluster.node(nodeId), cordoned: true });
    for (const { key, demand } of here) {
      const result = place(cluster, { ...demand, key: "probe" });
      if (result.kind !== "placed") continue;
      cluster.reserve(result.nodeId, key, demand.resources, { gpuIndices: result.gpuIndices });
      moves++;
    }
  }
  for (const [nodeId] of emptiest) cluster.upsertNode({ ...cluster.node(nodeId), cordoned: false });
  return measureFragmentation(cluster);
}

function timed(work) {
  const start = performance.now();
  const result = work();
  return [result, performance.now() - start];
}

const told = ({ fragmentation, emptyNodes, freeDevices }) =>
  `${(100 * fragmentation).toFixed(2)} % unusable, ${emptyNodes} empty nodes, ${freeDevices} free devices`;

const scene = scattered();
measureFragmentation(scene.cluster);
const [, readMs] = timed(() => measureFragmentation(scene.cluster));
const [plan, planMs] = timed(() => planRebalance(scene.cluster, scene.movable, { maxMoves }));
if (plan.moves.length === 0) throw new Error("nothing was moved");
const [again] = timed(() => planRebalance(scene.cluster, scene.movable, { maxMoves }));
if (JSON.stringify(again) !== JSON.stringify(plan)) throw new Error("the plan is not the same twice");
console.log(`${nodes} nodes, ${scene.movable.length} replicas, ${plan.moves.length} of ${maxMoves} moves`);
console.log(`before:           ${told(plan.before)}`);
console.log(`rebalanced:       ${told(plan.after)}`);
console.log(`emptiest first:   ${told(drainEmptiest(scene))}`);
console.log(`${planMs.toFixed(0)} ms, ${(planMs / readMs).toFixed(1)} times as long as measuring the cluster once`);
