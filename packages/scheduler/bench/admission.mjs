// Passes over 10,000 waiting jobs on 1,000 nodes: with nothing placeable, and with room for a tenth; preemption, and single
// jobs beside all that wait. The floor of the same run is a sort of the jobs, which a pass cannot do without. Then the value
// placed where there is not room for all, beside its bound.
// Run: node -C kedge-source packages/scheduler/bench/admission.mjs
import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { NodeSchema, NodeState, ResourceRequestSchema, SchedulingPolicySchema } from "@kedge/proto";
import { createAdmission, createCluster } from "@kedge/scheduler";
import { reportOverload } from "./overload.mjs";

const JOBS = 10_000;
const NODES = 1_000;
const ROUNDS = 15;
const NOW = 600_000;

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const ms = (value) => `${value.toFixed(1)} ms`;

function timed(work) {
  const start = performance.now();
  const result = work();
  return { result, took: performance.now() - start };
}

/** All nodes full but for `free` milli of CPU on each, by jobs that run for an hour more. */
function scene({ free, shapes, policy = {}, since = (i) => i, priority = () => 0 }) {
  const cluster = createCluster();
  const admission = createAdmission({ cluster, policy: create(SchedulingPolicySchema, policy) });
  for (let n = 0; n < NODES; n++) {
    const id = `node-${n}`;
    cluster.upsertNode(
      create(NodeSchema, { id, state: NodeState.READY, capacity: { cpuMilli: 16_000, memoryMib: 65_536 } }),
    );
    for (let k = 0; k < 4; k++) {
      const key = `run-${n}/${k}`;
      const resources = create(ResourceRequestSchema, { cpuMilli: (16_000 - free) / 4, memoryMib: 8_192 });
      cluster.reserve(id, key, resources);
      const job = { key, name: key, nodeId: id, demand: { key, resources }, team: `team-${k}`, priority: 0 };
      admission.run({ ...job, startedAtMs: (n * 7919) % NOW, limitMs: 3_600_000 + n, preemptible: true });
    }
  }
  const jobs = [];
  for (let i = 0; i < JOBS; i++) {
    const key = `wait-${i}`;
    const resources = create(ResourceRequestSchema, { cpuMilli: 2_001 + (i % shapes), memoryMib: 1_024 });
    const job = { key, name: key, demand: { key, resources }, team: `team-${i % 20}`, priority: priority(i) };
    jobs.push({ ...job, waitingSinceMs: since(i), limitMs: 60_000 + (i % 1_000) * 10_000, preemptible: true });
  }
  for (const job of jobs) admission.wait(job);
  return { admission, cluster, jobs };
}

function passes(options, check) {
  const { admission, jobs } = scene(options);
  const first = timed(() => admission.pass(NOW));
  const times = [];
  for (let round = 1; round <= ROUNDS; round++) {
    const { result, took } = timed(() => admission.pass(NOW + round));
    check(result);
    times.push(took);
  }
  return { first: first.took, again: median(times), floor: median(jobs.length > 0 ? floors(jobs) : []) };
}

function floors(jobs) {
  return Array.from({ length: ROUNDS }, () => {
    const { result, took } = timed(() => {
      let amount = 0;
      for (const job of jobs) amount += job.demand.resources.cpuMilli;
      return [amount, jobs.map((job) => ({ job, value: job.waitingSinceMs % 97 })).sort((a, b) => b.value - a.value)];
    });
    assert.equal(result[1].length, JOBS);
    return took;
  });
}

function report(what, { first, again, floor }) {
  console.log(`${what}: first ${ms(first)}, median of ${ROUNDS} ${ms(again)}; a sort of the same ${ms(floor)}`);
}

const noneFits = (plan) => {
  assert.equal(plan.placed.length, 0);
  assert.equal(plan.waiting.length, JOBS);
  assert.equal(plan.waiting.at(-1).position, JOBS);
};
const held = (count) => (plan) => {
  noneFits(plan);
  assert.equal(plan.waiting.filter(({ reserved }) => reserved !== undefined).length, count);
};

console.log(`${JOBS} jobs wait, ${NODES} nodes, ${4 * NODES} jobs run`);
const fresh = { since: () => NOW - 1 };
report("4 shapes, none fits, none waited long", passes({ free: 1_000, shapes: 4, ...fresh }, noneFits));
report("4 shapes, none fits, room held for 8", passes({ free: 1_000, shapes: 4 }, held(8)));
report("500 shapes, none fits, room held for 8", passes({ free: 1_000, shapes: 500 }, held(8)));
const quotas = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`team-${i}`, { quota: { jobs: 1 } }]));
const atQuota = (plan) => {
  assert.ok(plan.placed.length === 0);
  assert.ok(plan.waiting.every(({ heldBack }) => heldBack !== undefined));
};
report("4 shapes, room, teams at their quotas", passes({ free: 8_000, shapes: 4, policy: { teams: quotas } }, atQuota));

const { admission, cluster } = scene({ free: 4_000, shapes: 4, ...fresh });
const { result: plan, took } = timed(() => admission.pass(NOW));
assert.equal(plan.placed.length, NODES);
assert.ok(plan.placed.every(({ job, nodeId }) => cluster.reservation(job.key)?.nodeId === nodeId));
console.log(
  `room for one on each node: ${plan.placed.length} placed in ${ms(took)}, ${((1e3 * took) / plan.placed.length).toFixed(0)} us each`,
);

const high = scene({ free: 1_000, shapes: 4, priority: () => 1, ...fresh });
const preempting = timed(() => high.admission.pass(NOW));
assert.equal(preempting.result.preempted.length, 16);
console.log(`16 jobs make room by preemption: ${ms(preempting.took)}`);

const idle = scene({ free: 1_000, shapes: 4, ...fresh });
idle.admission.pass(NOW);
const singles = Array.from({ length: 1_000 }, (_, i) => {
  const key = `single-${i}`;
  const demand = { key, resources: create(ResourceRequestSchema, { cpuMilli: 900 }) };
  return {
    key,
    name: key,
    demand,
    team: "team-1",
    priority: 0,
    waitingSinceMs: NOW,
    limitMs: 1_000,
    preemptible: true,
  };
});
const now = timed(() => singles.map((job) => idle.admission.tryNow([job], NOW)));
assert.ok(now.result.every((answer) => answer?.placed.length === 1));
console.log(`without a pass, beside ${JOBS} that wait: ${((1e3 * now.took) / singles.length).toFixed(0)} us a job`);

reportOverload();
