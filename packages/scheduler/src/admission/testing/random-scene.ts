import { create } from "@bufbuild/protobuf";
import { type Node, PlacementSchema, type SchedulingPolicy } from "@kedge/proto";
import fc from "fast-check";
import { type Cluster, createCluster } from "../../cluster.ts";
import { place } from "../../place.ts";
import { type Admission, createAdmission } from "../admission.ts";
import type { RunningJob, WaitingJob } from "../admission-types.ts";
import { claimOptions } from "../set-aside.ts";
import { type JobSpec, jobOf, nodeOf, policyOf, runningOf } from "./scene.ts";

/** A cluster, what runs on it, what waits, and by which policy. */
export interface RandomScene {
  readonly nodes: readonly Node[];
  readonly policy: SchedulingPolicy;
  readonly first: readonly WaitingJob[];
  readonly waiting: readonly WaitingJob[];
}

/** The time of the pass. */
export const NOW = 600_000;

const spec = fc.record({
  cpuMilli: fc.integer({ min: 1, max: 5 }),
  memoryMib: fc.nat(3),
  gpu: fc.oneof(
    { arbitrary: fc.constant(undefined), weight: 4 },
    { arbitrary: fc.record({ count: fc.integer({ min: 1, max: 2 }) }), weight: 1 },
    { arbitrary: fc.record({ shareMilli: fc.constantFrom(300, 600) }), weight: 1 },
  ),
  zone: fc.constantFrom(undefined, undefined, "x"),
  team: fc.constantFrom("a", "b"),
  priority: fc.constantFrom(-1, 0, 0, 1),
  since: fc.integer({ min: 0, max: NOW }),
  limitMs: fc.constantFrom(60_000, 300_000, 3_600_000),
  preemptible: fc.constantFrom(true, true, false),
  group: fc.constantFrom(undefined, undefined, "g"),
  gang: fc.constantFrom(undefined, undefined, undefined, "one", "two"),
});
type Spec = typeof spec extends fc.Arbitrary<infer T> ? T : never;

const nodes = fc
  .array(
    fc.record({
      cpuMilli: fc.integer({ min: 1, max: 8 }),
      memoryMib: fc.integer({ min: 2, max: 8 }),
      gpus: fc.nat(2),
      zone: fc.constantFrom("x", "y"),
    }),
    { minLength: 1, maxLength: 4 },
  )
  .map((list) =>
    list.map(({ gpus, zone, ...capacity }, i) => {
      const devices = Array.from({ length: gpus }, (_, index) => ({
        index,
        uuid: `u${index}`,
        model: "A",
        memoryMib: 8,
      }));
      return Object.assign(nodeOf(`n${i}`, { ...capacity, gpus: devices }), { labels: { zone } });
    }),
  );

const policy = fc
  .record({
    quota: fc.constantFrom(0n, 0n, 4n, 7n),
    share: fc.constantFrom(0, 3),
    limit: fc.constantFrom(undefined, 1, 2),
    noPreemption: fc.boolean(),
    maxReservations: fc.constantFrom(0, 1),
  })
  .map(({ quota, share, limit, ...rest }) =>
    policyOf({
      ...rest,
      teams: { a: { share, quota: { cpuMilli: quota } } },
      concurrencyLimits: limit === undefined ? {} : { g: limit },
    }),
  );

/** Scenes small enough for brute force. */
export const randomScene: fc.Arbitrary<RandomScene> = fc
  .record({ nodes, policy, first: fc.array(spec, { maxLength: 12 }), waiting: fc.array(spec, { maxLength: 12 }) })
  .map(({ first, waiting, ...rest }) => ({
    ...rest,
    first: first.map((one, i) => toJob({ ...one, gang: undefined }, `first/${i}`, [])),
    waiting: waiting.map((one, i) => toJob(one, `w/${String(i).padStart(2, "0")}`, waiting)),
  }));

function toJob(
  { zone, cpuMilli, memoryMib, gpu, since, group, gang, ...rest }: Spec,
  name: string,
  all: Spec[],
): WaitingJob {
  const members = all.flatMap((one, i) => (one.gang === gang ? [`w/${String(i).padStart(2, "0")}`] : []));
  const job: JobSpec = {
    ...rest,
    name,
    waitingSinceMs: since,
    resources: { cpuMilli, memoryMib, ...(gpu === undefined ? {} : { gpu }) },
    demand: { placement: create(PlacementSchema, { nodeSelector: zone ? { zone } : {} }) },
    gang: gang === undefined ? undefined : { id: gang, members },
    concurrency: group === undefined ? undefined : { group, limit: 1 },
  };
  return jobOf(job);
}

/** The scene as it is before the pass; what runs was placed one after the other as long as there was room. */
export interface Built {
  readonly cluster: Cluster;
  readonly admission: Admission;
  readonly running: readonly RunningJob[];
}

/** Builds a scene; `reversed` tells everything in the opposite order. */
export function build({ nodes: all, policy: rules, first, waiting }: RandomScene, reversed = false): Built {
  const running = placeFirst(all, first);
  const inOrder = <T>(items: readonly T[]): readonly T[] => (reversed ? items.toReversed() : items);
  const cluster = createCluster(inOrder(all));
  const admission = createAdmission({ cluster, policy: rules });
  for (const { job, gpuIndices } of inOrder(running)) {
    cluster.reserve(job.nodeId, job.key, job.demand.resources, claimOptions(job.demand, gpuIndices));
    admission.run(job);
  }
  for (const job of inOrder(waiting)) admission.wait(job);
  return { cluster, admission, running: running.map(({ job }) => job) };
}

function placeFirst(all: readonly Node[], first: readonly WaitingJob[]) {
  const cluster = createCluster(all);
  return first.flatMap((job) => {
    const result = place(cluster, job.demand);
    if (result.kind === "unplaced") return [];
    const { nodeId, gpuIndices } = result;
    cluster.reserve(nodeId, job.key, job.demand.resources, claimOptions(job.demand, gpuIndices));
    return [{ job: runningOf(job, nodeId, job.waitingSinceMs), gpuIndices }];
  });
}
