import { HeldBack_Reason } from "@kedge/proto";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Cluster } from "../cluster.ts";
import { fits } from "../place.ts";
import type { AdmissionPlan, WaitingJob } from "./admission-types.ts";
import { holdKey } from "./hold.ts";
import { build, NOW, type RandomScene, randomScene } from "./testing/random-scene.ts";

const RUNS = { numRuns: 500 };
const LIMITS: readonly (HeldBack_Reason | undefined)[] = [
  HeldBack_Reason.QUOTA,
  HeldBack_Reason.CONCURRENCY_GROUP,
  HeldBack_Reason.GANG,
];

test("never over capacity, with held room too", () => {
  fc.assert(
    fc.property(randomScene, (scene) => {
      const { admission, cluster } = build(scene);
      for (const now of [NOW, NOW + 60_000]) {
        admission.pass(now);
        for (const { id } of scene.nodes) assertWithinCapacity(cluster, id);
      }
    }),
    RUNS,
  );
});

test("gangs start whole or not at all; everything is placed or waits, once", () => {
  fc.assert(
    fc.property(randomScene, (scene) => {
      const { plan } = passed(scene);
      const placed = new Set(plan.placed.map(({ job }) => job.name));
      for (const { gang } of scene.waiting) {
        const started = gang?.members.filter((name) => placed.has(name)).length ?? 0;
        expect([0, gang?.members.length ?? 0]).toContain(started);
      }
      const all = [...plan.placed, ...plan.waiting].map(({ job }) => job.name);
      expect(all.sort()).toEqual(scene.waiting.map(({ name }) => name).sort());
      expect(plan.waiting.map(({ position }) => position)).toEqual(plan.waiting.map((_, i) => i + 1));
    }),
    RUNS,
  );
});

test("quotas and concurrency limits are never exceeded by what a pass places", () => {
  fc.assert(
    fc.property(randomScene, (scene) => {
      const { plan, running } = passed(scene);
      const ofTeam = plan.placed.filter(({ job }) => job.team === "a");
      const cpu = (jobs: readonly { readonly demand: WaitingJob["demand"] }[]): number =>
        jobs.reduce((sum, { demand }) => sum + (demand.resources?.cpuMilli ?? 0), 0);
      const quota = Number(scene.policy.teams["a"]?.quota?.cpuMilli ?? 0n);
      const before = cpu(running.filter(({ team }) => team === "a"));
      if (quota > 0 && ofTeam.length > 0) expect(before + cpu(ofTeam.map(({ job }) => job))).toBeLessThanOrEqual(quota);
      const started = plan.placed.filter(({ job }) => job.concurrency?.group === "g").length;
      const inGroup = running.filter(({ concurrencyGroup }) => concurrencyGroup === "g").length;
      if (started > 0) expect(inGroup + started).toBeLessThanOrEqual(scene.policy.concurrencyLimits["g"] ?? 1);
    }),
    RUNS,
  );
});

test("strict priorities: without what lower ones got or have held, a waiting job would still not fit", () => {
  fc.assert(
    fc.property(randomScene, (scene) => {
      const { plan, cluster } = passed(scene);
      for (const { job } of plan.waiting.filter(isOpen)) {
        const lower = plan.placed
          .filter((placed) => placed.job.priority < job.priority)
          .map((placed) => placed.job.key);
        const isLower = (other: WaitingJob): boolean => other === job || other.priority < job.priority;
        const [below, rest] = [
          plan.waiting.filter((one) => isLower(one.job)),
          plan.waiting.filter((one) => !isLower(one.job)),
        ];
        const found = nodesFor(cluster, scene, job, [...lower, ...below.map((one) => holdKey(one.job.name))]);
        // Where room is held for others, what passes through it takes what a longer job may not have.
        expect(found.filter((nodeId) => rest.every(({ reserved }) => reserved?.nodeId !== nodeId))).toEqual([]);
      }
    }),
    RUNS,
  );
});

test("work conserving: what waits fits nowhere beside what is held for others", () => {
  fc.assert(
    fc.property(randomScene, (scene) => {
      const { plan, cluster } = passed(scene);
      for (const { job } of plan.waiting.filter(isOpen)) {
        expect(nodesFor(cluster, scene, job, [holdKey(job.name)])).toEqual([]);
      }
    }),
    RUNS,
  );
});

test("the order in which it was told does not matter", () => {
  fc.assert(
    fc.property(randomScene, (scene) => {
      const there = outcome(build(scene).admission.pass(NOW));
      const back = outcome(build(scene, true).admission.pass(NOW));
      expect(back).toEqual(there);
    }),
    RUNS,
  );
});

test("preemption: only lower and preemptible ones, on one node, just enough, and never twice", () => {
  fc.assert(
    fc.property(randomScene, (scene) => {
      const { plan, cluster, running, admission } = passed(scene);
      for (const [name, victims] of Map.groupBy(plan.preempted, ({ preemptedBy }) => preemptedBy)) {
        const job = plan.waiting.find((waiting) => waiting.job.name === name)?.job;
        const keys = victims.map(({ key }) => key);
        const [nodeId = ""] = new Set(victims.map((victim) => victim.nodeId));
        expect(victims.every((victim) => victim.nodeId === nodeId)).toBe(true);
        for (const victim of running.filter(({ key }) => keys.includes(key))) {
          expect(victim.preemptible && victim.priority < (job?.priority ?? -100)).toBe(true);
        }
        if (job === undefined) throw new Error(`${name} does not wait`);
        expect(nodesFor(cluster, scene, job, [...keys, holdKey(name)])).toContain(nodeId);
        for (const kept of keys) {
          const others = keys.filter((key) => key !== kept);
          expect(nodesFor(cluster, scene, job, [...others, holdKey(name)])).not.toContain(nodeId);
        }
      }
      const by = new Set(plan.preempted.map(({ preemptedBy }) => preemptedBy));
      expect(admission.pass(NOW + 1).preempted.filter(({ preemptedBy }) => by.has(preemptedBy))).toEqual([]);
    }),
    RUNS,
  );
});

test("preemption happens wherever brute force finds victims on a node without holds", () => {
  fc.assert(
    fc.property(randomScene, (scene) => {
      const { plan, cluster, running } = passed(scene);
      if (scene.policy.noPreemption) return;
      const told = new Set(plan.preempted.map(({ key }) => key));
      for (const { job, heldBack } of plan.waiting.filter(isOpen)) {
        if (heldBack?.reason === HeldBack_Reason.PREEMPTING) continue;
        const own = holdKey(job.name);
        for (const { id } of scene.nodes) {
          const held = cluster.reservationsOn(id).some(({ key, heldFor }) => heldFor !== undefined && key !== own);
          const weaker = running.filter(
            ({ key, nodeId, priority, preemptible }) =>
              nodeId === id && preemptible && priority < job.priority && !told.has(key),
          );
          const lower = plan.placed.filter((one) => one.nodeId === id && one.job.priority < job.priority);
          if (held || weaker.length === 0 || lower.length > 0) continue;
          expect(nodesFor(cluster, scene, job, [...weaker.map(({ key }) => key), own])).not.toContain(id);
        }
      }
    }),
    RUNS,
  );
});

function passed(scene: RandomScene) {
  const built = build(scene);
  return { ...built, plan: built.admission.pass(NOW) };
}

/** It waits for room alone. */
function isOpen({ job, heldBack }: AdmissionPlan["waiting"][number]): boolean {
  return job.gang === undefined && !LIMITS.includes(heldBack?.reason);
}

/** Nodes a job would fit without some reservations. */
function nodesFor(cluster: Cluster, { nodes }: RandomScene, job: WaitingJob, without: readonly string[]): string[] {
  const taken = without.map((key) => cluster.reservation(key)).filter((reservation) => reservation !== undefined);
  for (const { key } of taken) cluster.release(key);
  const found = nodes.map(({ id }) => id).filter((id) => fits(cluster, id, job.demand).kind === "fits");
  for (const { nodeId, key, resources, gpuIndices, heldFor } of taken) {
    cluster.reserve(nodeId, key, resources, { gpuIndices, heldFor });
  }
  return found;
}

function assertWithinCapacity(cluster: Cluster, nodeId: string): void {
  const capacity = cluster.node(nodeId)?.capacity;
  const devices = new Map<number, number>();
  let [cpuMilli, memoryMib] = [0, 0];
  for (const { resources, gpuIndices } of cluster.reservationsOn(nodeId)) {
    cpuMilli += resources?.cpuMilli ?? 0;
    memoryMib += resources?.memoryMib ?? 0;
    const share = (resources?.gpu?.count ?? 0) > 0 ? 1000 : (resources?.gpu?.shareMilli ?? 0);
    for (const index of gpuIndices) devices.set(index, (devices.get(index) ?? 0) + share);
  }
  expect(cpuMilli).toBeLessThanOrEqual(capacity?.cpuMilli ?? 0);
  expect(memoryMib).toBeLessThanOrEqual(capacity?.memoryMib ?? 0);
  expect(Math.max(0, ...devices.values())).toBeLessThanOrEqual(1000);
}

function outcome(plan: AdmissionPlan): unknown {
  return {
    placed: plan.placed.map(({ job, nodeId, gpuIndices }) => [job.name, nodeId, gpuIndices]),
    preempted: plan.preempted,
    waiting: plan.waiting.map(({ job, ...rest }) => ({ name: job.name, ...rest })),
  };
}
