import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Node,
  NodeSchema,
  NodeState,
  ResourceRequestSchema,
  type SchedulingPolicy,
  SchedulingPolicySchema,
} from "@kedge/proto";
import { type Cluster, createCluster } from "../../cluster.ts";
import { type Admission, createAdmission } from "../admission.ts";
import type { AdmissionPlan, RunningJob, WaitingJob } from "../admission-types.ts";

/** What a test says of a job; the rest has defaults. */
export interface JobSpec extends Partial<Omit<WaitingJob, "demand" | "key">> {
  readonly name: string;
  readonly cpu?: number;
  readonly resources?: MessageInitShape<typeof ResourceRequestSchema>;
  readonly demand?: Partial<WaitingJob["demand"]>;
}

/** A ready node. */
export function nodeOf(id: string, capacity: MessageInitShape<typeof NodeSchema>["capacity"] = { cpuMilli: 4 }): Node {
  return create(NodeSchema, { id, state: NodeState.READY, capacity });
}

/** A waiting job; its key is "k:" and its name. */
export function jobOf(spec: JobSpec): WaitingJob {
  const { cpu = 1, resources = { cpuMilli: cpu }, demand, ...rest } = spec;
  const key = `k:${spec.name}`;
  return {
    key,
    team: "default",
    priority: 0,
    waitingSinceMs: 0,
    limitMs: 3_600_000,
    preemptible: true,
    ...rest,
    demand: { key, resources: create(ResourceRequestSchema, resources), ...demand },
  };
}

/** A job as it runs on a node. */
export function runningOf(job: WaitingJob, nodeId: string, startedAtMs: number): RunningJob {
  const { key, name, demand, team, priority, limitMs, preemptible, concurrency } = job;
  const concurrencyGroup = concurrency?.group;
  return { key, name, nodeId, demand, team, priority, startedAtMs, limitMs, preemptible, concurrencyGroup };
}

/** A cluster with admission over it. */
export interface Scene {
  readonly cluster: Cluster;
  readonly admission: Admission;
  /** Lets jobs wait. */
  wait(...specs: readonly JobSpec[]): void;
  /** Puts a job on a node at a time. */
  start(spec: JobSpec, nodeId: string, startedAtMs?: number): RunningJob;
  /** A running job ends. */
  end(name: string, atMs?: number): void;
}

/** Nodes and a policy. */
export function sceneOf(nodes: readonly Node[], policy: MessageInitShape<typeof SchedulingPolicySchema> = {}): Scene {
  const cluster = createCluster(nodes);
  const admission = createAdmission({ cluster, policy: policyOf(policy) });
  return {
    cluster,
    admission,
    wait: (...specs) => {
      for (const spec of specs) admission.wait(jobOf(spec));
    },
    start: (spec, nodeId, startedAtMs = 0) => {
      const job = runningOf(jobOf(spec), nodeId, startedAtMs);
      cluster.reserve(nodeId, job.key, job.demand.resources, { spreadKey: job.demand.spreadKey });
      admission.run(job);
      return job;
    },
    end: (name, atMs) => {
      cluster.release(`k:${name}`);
      admission.forget(`k:${name}`, atMs);
    },
  };
}

/** A policy of parts. */
export function policyOf(policy: MessageInitShape<typeof SchedulingPolicySchema>): SchedulingPolicy {
  return create(SchedulingPolicySchema, policy);
}

/** Names of what a plan placed, in order. */
export const placedNames = (plan: AdmissionPlan | undefined): string[] => plan?.placed.map(({ job }) => job.name) ?? [];

/** Names of what still waits, in order. */
export const waitingNames = (plan: AdmissionPlan): string[] => plan.waiting.map(({ job }) => job.name);
