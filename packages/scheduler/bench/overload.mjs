// What passes place is worth, where there is enough for all and where there is not, beside the LP bound on all that is free
// taken together, what the knapsack heuristic reaches there without regard to nodes, and first come first served.
import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { NodeSchema, NodeState, ResourceRequestSchema, SchedulingPolicySchema } from "@kedge/proto";
import { createAdmission, createCluster, place, solveKnapsack } from "@kedge/scheduler";
import { clusterAmounts } from "../src/admission/amounts.ts";
import { baseValue } from "../src/admission/ranking.ts";
import { lpBound } from "./lp-bound.mjs";
import { mulberry32 } from "./random.mjs";

const NODES = 50;
const NOW = 600_000;
const RESERVE_AFTER_MS = 60_000;
const INSTANCES = 20;
/** CPU in milli, memory in MiB, GPU. */
const SHAPES = [
  [1_000, 2_048],
  [2_000, 4_096],
  [4_000, 8_192],
  [2_000, 16_384],
  [8_000, 16_384],
  [16_000, 8_192],
  [4_000, 65_536],
  [4_000, 16_384, { count: 1 }],
  [8_000, 32_768, { count: 1 }],
  [12_000, 65_536, { count: 2 }],
  [16_000, 131_072, { count: 4 }],
  [2_000, 8_192, { shareMilli: 500 }],
  [1_000, 4_096, { shareMilli: 250 }],
];

/** Prints the mean of seeded instances for several loads. */
export function reportOverload() {
  console.log(
    `value placed on ${NODES} nodes, half with 4 GPUs, as a part of the LP bound; ${INSTANCES} instances each`,
  );
  for (const jobs of [80, 150, 400, 1_500]) {
    const sums = { bound: 0, aggregate: 0, admission: 0, firstCome: 0 };
    for (let seed = 1; seed <= INSTANCES; seed++) {
      for (const [what, value] of Object.entries(measure(seed, jobs))) sums[what] += value;
    }
    const part = (sum) => `${((100 * sum) / sums.bound).toFixed(1)} %`;
    console.log(
      `${jobs} jobs: a pass ${part(sums.admission)}; first come first served ${part(sums.firstCome)}; ` +
        `the knapsack without nodes ${part(sums.aggregate)}`,
    );
  }
}

function measure(seed, count) {
  const { nodes, jobs } = instance(seed, count);
  const values = jobs.map((job) => baseValue(job, NOW, RESERVE_AFTER_MS));
  const problem = problemOf(clusterOf(nodes), jobs, values);
  const sum = (chosen) => chosen.reduce((total, index) => total + values[index], 0);
  const measured = {
    bound: lpBound(problem),
    aggregate: sum(solveKnapsack(problem)),
    admission: sum(admit(clusterOf(nodes), jobs)),
    firstCome: sum(placeInOrder(clusterOf(nodes), jobs)),
  };
  assert.ok(Math.max(...Object.values(measured)) <= measured.bound * (1 + 1e-6));
  return measured;
}

/** Nodes that are partly taken, and jobs of one team and priority, some with deadlines; none has waited too long. */
function instance(seed, count) {
  const random = mulberry32(seed);
  const below = (limit) => Math.floor(limit * random());
  const nodes = Array.from({ length: NODES }, (_, n) => {
    const hasGpus = n % 2 === 1;
    const gpu = hasGpus && random() < 0.7 ? { count: 1 + below(2) } : undefined;
    return { n, hasGpus, taken: { cpuMilli: 1_000 * below(20), memoryMib: 2_048 * below(32), gpu } };
  });
  const jobs = Array.from({ length: count }, (_, i) => {
    const key = `job-${i}`;
    const [cpuMilli, memoryMib, gpu] = SHAPES[below(SHAPES.length)];
    const limitMs = 60_000 * (1 + below(120));
    const deadlineMs = random() < 0.5 ? NOW + limitMs * (0.5 + 4 * random()) : undefined;
    const demand = { key, resources: create(ResourceRequestSchema, { cpuMilli, memoryMib, gpu }) };
    const waitingSinceMs = NOW - below(RESERVE_AFTER_MS - 1);
    return { key, name: key, demand, team: "t", priority: 0, waitingSinceMs, limitMs, deadlineMs, preemptible: true };
  });
  return { nodes, jobs };
}

function clusterOf(nodes) {
  const cluster = createCluster();
  for (const { n, hasGpus, taken } of nodes) {
    const id = `node-${n}`;
    const gpus = Array.from({ length: hasGpus ? 4 : 0 }, (_, index) => {
      return { index, uuid: `${id}/${index}`, model: "A", memoryMib: 40_960 };
    });
    const capacity = hasGpus ? { cpuMilli: 48_000, memoryMib: 262_144 } : { cpuMilli: 32_000, memoryMib: 131_072 };
    cluster.upsertNode(create(NodeSchema, { id, state: NodeState.READY, capacity: { ...capacity, gpus } }));
    cluster.reserve(id, `taken-${n}`, create(ResourceRequestSchema, taken));
  }
  return cluster;
}

function problemOf(cluster, jobs, values) {
  const { left } = clusterAmounts(cluster);
  const gpuMilli = ({ count = 0, shareMilli = 0 } = {}) => (count > 0 ? 1_000 * count : shareMilli);
  const rowOf = (amount) => jobs.map(({ demand }) => amount(demand.resources));
  const weights = [
    rowOf(({ cpuMilli }) => cpuMilli),
    rowOf(({ memoryMib }) => memoryMib),
    rowOf(({ gpu }) => gpuMilli(gpu)),
  ];
  return { values, weights, capacities: [left.cpu_milli, left.memory_mib, left.gpu_milli] };
}

/** Indices of the jobs that a pass places. */
function admit(cluster, jobs) {
  const policy = create(SchedulingPolicySchema, { reserveAfterSeconds: RESERVE_AFTER_MS / 1_000 });
  const admission = createAdmission({ cluster, policy });
  for (const job of jobs) admission.wait(job);
  const placed = new Set(admission.pass(NOW).placed.map(({ job }) => job.key));
  return jobs.flatMap(({ key }, i) => (placed.has(key) ? [i] : []));
}

function placeInOrder(cluster, jobs) {
  const order = jobs.map((_, i) => i).sort((a, b) => jobs[a].waitingSinceMs - jobs[b].waitingSinceMs);
  return order.filter((i) => {
    const { key, demand } = jobs[i];
    const result = place(cluster, demand);
    if (result.kind === "placed") cluster.reserve(result.nodeId, key, demand.resources, result);
    return result.kind === "placed";
  });
}
