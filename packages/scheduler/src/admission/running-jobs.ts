import type { Amounts } from "@kedge/domain";
import type { RunningJob } from "./admission-types.ts";
import { claimedAmounts } from "./amounts.ts";
import { countUp } from "./waiting-jobs.ts";

/** A job that holds room, with what does not change while it runs. */
export interface Running {
  readonly job: RunningJob;
  /** As quotas count it: with "jobs" 1. */
  readonly amounts: Amounts;
}

/** The jobs that hold room, by key, name, node, concurrency group, and the job they have to go for. */
export class RunningJobs {
  readonly #byKey = new Map<string, Running>();
  readonly #names = new Map<string, number>();
  readonly #byNode = new Map<string, Map<string, Running>>();
  readonly #groups = new Map<string, number>();
  readonly #teams = new Map<string, number>();
  readonly #victims = new Map<string, Map<string, Running>>();
  readonly #expendable = new Map<number, number>();

  get(key: string): Running | undefined {
    return this.#byKey.get(key);
  }

  isRunning(name: string): boolean {
    return this.#names.has(name);
  }

  /** Nodes that run something. */
  nodes(): Iterable<string> {
    return this.#byNode.keys();
  }

  on(nodeId: string): readonly Running[] {
    return [...(this.#byNode.get(nodeId)?.values() ?? [])];
  }

  inGroup(group: string): number {
    return this.#groups.get(group) ?? 0;
  }

  /** How many run of each team. */
  get teams(): ReadonlyMap<string, number> {
    return this.#teams;
  }

  /** The jobs that were told to end for a waiting job and have not ended yet. */
  victimsOf(name: string): readonly Running[] {
    return [...(this.#victims.get(name)?.values() ?? [])];
  }

  /** Tells whether a job of that priority may end any other. */
  hasBelow(priority: number): boolean {
    for (const other of this.#expendable.keys()) if (other < priority) return true;
    return false;
  }

  add(job: RunningJob): Running {
    this.remove(job.key);
    const running = { job, amounts: { ...claimedAmounts(job.demand.resources), jobs: 1 } };
    this.#byKey.set(job.key, running);
    addBelow(this.#byNode, job.nodeId, job.key, running);
    if (job.preemptedBy) addBelow(this.#victims, job.preemptedBy, job.key, running);
    this.#count(job, 1);
    return running;
  }

  /** What ran under the key, if anything. */
  remove(key: string): Running | undefined {
    const running = this.#byKey.get(key);
    if (running === undefined) return undefined;
    const { job } = running;
    this.#byKey.delete(key);
    removeBelow(this.#byNode, job.nodeId, key);
    if (job.preemptedBy) removeBelow(this.#victims, job.preemptedBy, key);
    this.#count(job, -1);
    return running;
  }

  #count(job: RunningJob, by: 1 | -1): void {
    countUp(this.#names, job.name, by);
    countUp(this.#teams, job.team, by);
    if (job.concurrencyGroup) countUp(this.#groups, job.concurrencyGroup, by);
    if (isExpendable(job)) countUp(this.#expendable, job.priority, by);
  }
}

/** Tells whether a job may be told to end for another. */
export function isExpendable({ preemptible, preemptedBy }: RunningJob): boolean {
  return preemptible && !preemptedBy;
}

/** By when a job has ended at the latest; one that was told to end counts as ended. */
export function endOf({ startedAtMs, limitMs, preemptedBy }: RunningJob, nowMs: number): number {
  return preemptedBy ? nowMs : Math.max(nowMs, startedAtMs + limitMs);
}

function addBelow(index: Map<string, Map<string, Running>>, id: string, key: string, running: Running): void {
  const entries = index.get(id) ?? new Map<string, Running>();
  index.set(id, entries.set(key, running));
}

function removeBelow(index: Map<string, Map<string, Running>>, id: string, key: string): void {
  const entries = index.get(id);
  entries?.delete(key);
  if (entries?.size === 0) index.delete(id);
}
