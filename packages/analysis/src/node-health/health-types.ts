/** How well a node is. A suspect one is watched; a sick one should get nothing new. */
export type NodeLevel = "healthy" | "suspect" | "sick";

/** What one node did for one workload within the time looked at. */
export interface NodeTrial {
  /** Tasks ended, replica-minutes, or requests: whatever of a failure's chances grows with. */
  readonly exposure: number;
  /** Failures that may be the node's fault; of the program's own failures only those that should be alike everywhere. */
  readonly failures: number;
}

/** One thing that ran on several nodes: the tasks of a job, the replicas of a revision, the requests to it. */
export interface WorkloadFacts {
  /** The same for everything that has the same program, e.g. "vad revision 3", "train/fit". */
  readonly workload: string;
  readonly kind: "tasks" | "replicas" | "requests";
  readonly byNode: ReadonlyMap<string, NodeTrial>;
}

/** What a node shows of itself, beside nothing else. */
export interface OwnFacts {
  /** Free space where the agent works, in MiB; absent: not told. */
  readonly freeDiskMib?: number | undefined;
  /** Times it fell silent and came back within the time looked at. */
  readonly returns: number;
}

/** One thing that speaks against a node. */
export interface NodeReason {
  readonly text: string;
  /** What would clear it, to follow "clears when". */
  readonly clears: string;
}

/** A workload that fails on a node and is well elsewhere. */
export interface Misfit {
  readonly workload: string;
  readonly kind: WorkloadFacts["kind"];
  readonly reason: NodeReason;
  /** Logarithm of the evidence (e-value) that the node is worse for it. */
  readonly logEvidence: number;
}

/** The judgement on one node. */
export interface NodeJudgement {
  readonly level: NodeLevel;
  /** The weightiest first; empty when it is healthy. */
  readonly reasons: readonly NodeReason[];
  /** Workloads that would be better off elsewhere, whether or not the node as a whole is sick. */
  readonly misfits: readonly Misfit[];
}

/** Everything a fleet is judged on. */
export interface FleetFacts {
  /** Nodes to be judged; workloads' nodes that are missing here are only compared with. */
  readonly nodes: ReadonlyMap<string, OwnFacts>;
  readonly workloads: readonly WorkloadFacts[];
  /** What the facts cover, as people say it, e.g. "15 min". */
  readonly span: string;
  /** The last judgement of each node; absent: healthy. It takes less to stay at a level than to get there. */
  readonly before?: ReadonlyMap<string, NodeLevel> | undefined;
}
