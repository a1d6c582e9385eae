import { create } from "@bufbuild/protobuf";
import { type ResourceRequest, type SchedulingPolicy, SchedulingPolicySchema, type TeamUsage } from "@kedge/proto";
import type { Cluster } from "../cluster.ts";
import type { Demand } from "../demand.ts";
import type { AdmissionPlan, RunningJob, WaitingJob } from "./admission-types.ts";
import { claimedAmounts, clusterAmounts } from "./amounts.ts";
import { Holds } from "./holds.ts";
import { Ledger } from "./ledger.ts";
import { MadeRoom, type RoomInMaking, type RoomMade, type RoomWish } from "./made-room.ts";
import { runPass } from "./pass.ts";
import { rulesOf } from "./rules.ts";
import { teamUsage } from "./team-usage.ts";
import { tryUnits } from "./try-units.ts";

/** What admission decides over. */
export interface AdmissionOptions {
  /** Nodes and reservations; the caller keeps it up to date, placed jobs and held room are reserved in it. */
  readonly cluster: Cluster;
  /** Default: everything at its default. */
  readonly policy?: SchedulingPolicy | undefined;
}

/** A run of a job that is over. */
export interface PastRun {
  readonly team: string;
  readonly resources: ResourceRequest | undefined;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
}

/**
 * Decides which waiting jobs get room when there is not enough. Long-lived; told what waits and runs, and asked for
 * passes. Every method that tells it something may be called again with the same. Deterministic: the order in which jobs
 * were told does not matter. The reservations of running jobs are the caller's; those of jobs that a pass placed are made
 * here.
 */
export class Admission {
  readonly #cluster: Cluster;
  readonly #ledger: Ledger;
  readonly #holds: Holds;
  readonly #made: MadeRoom;
  #isSettled = true;

  constructor({ cluster, policy = create(SchedulingPolicySchema) }: AdmissionOptions) {
    this.#cluster = cluster;
    this.#ledger = new Ledger(rulesOf(policy));
    this.#holds = new Holds(cluster, this.#ledger.running);
    this.#made = new MadeRoom(cluster, this.#ledger, this.#holds);
  }

  /** Jobs that wait. */
  get waitingCount(): number {
    return this.#ledger.waiting.size;
  }

  /** Nothing waits: there is no need for a pass. */
  isIdle(): boolean {
    return this.#ledger.waiting.size === 0;
  }

  /**
   * A job is ready and waits. One of the same name that waits under another key is replaced; a key that runs already
   * (placed by a pass, say, whose outcome the caller has not read yet) goes on running: `forget` it first.
   */
  wait(job: WaitingJob): void {
    if (this.#ledger.wait(job)) this.#isSettled = false;
  }

  /** A job holds room: it was offered or runs. Takes the place of what was known of its key. */
  run(job: RunningJob): void {
    this.#ledger.run(job);
    this.#holds.drop(job.name);
  }

  /**
   * A job waits or runs no more. `endedAtMs`: until when it ran, for the team's usage; without it a run counts as never
   * started. Its reservation is the caller's to release. Does nothing when the key is not known.
   */
  forget(key: string, endedAtMs?: number): void {
    const name = this.#ledger.waiting.get(key)?.job.name;
    if (this.#ledger.end(key, endedAtMs)) this.#isSettled = false;
    if (!this.#ledger.waiting.remove(key) || name === undefined) return;
    this.#holds.drop(name);
    this.#isSettled = false;
  }

  /** Room may have come: a node joined or changed, a replica went. */
  noteRoom(): void {
    this.#isSettled = false;
  }

  /** Takes over a policy; the next pass goes by it. */
  setPolicy(policy: SchedulingPolicy): void {
    this.#ledger.rules = rulesOf(policy);
    this.#isSettled = false;
  }

  /** Counts a run that is over and was never told by `run`, e.g. from storage at the start. Not idempotent. */
  charge({ team, resources, startedAtMs, endedAtMs }: PastRun): void {
    this.#ledger.charge(team, claimedAmounts(resources), startedAtMs, endedAtMs);
  }

  /** What teams may use, hold, and have used; by name. */
  teamUsage(nowMs: number): TeamUsage[] {
    return teamUsage(this.#ledger, clusterAmounts(this.#cluster).total, nowMs);
  }

  /**
   * One pass over everything that waits; see `runPass`. Placed jobs are reserved in the cluster under their keys and run
   * from now on; to take one back (it could not be stored, say), release its key, `forget` it and let it `wait` again.
   * Preempted jobs count as told to end. Cost: O(n log n) for n waiting jobs, one placement for each shape of demand and
   * for each job placed, one look at all nodes; see README.
   */
  pass(nowMs: number): AdmissionPlan {
    const plan = runPass({ cluster: this.#cluster, ledger: this.#ledger, holds: this.#holds }, nowMs);
    this.#isSettled = true;
    return plan;
  }

  /**
   * Places these jobs, and only these, all or none, without a pass over what waits; they need not be told by `wait` before.
   * Undefined, with all of them waiting, when a pass has to decide: one of them finds no room or is at a limit, or somebody
   * could be ahead of them. Nobody is when all others that wait have lower priorities, or when nothing has changed since
   * the last pass: that pass left no room that they could use, and room held for them is not touched. The answer is what a
   * pass would have done first.
   */
  tryNow(jobs: readonly WaitingJob[], nowMs: number): AdmissionPlan | undefined {
    const fresh = jobs.filter(({ key }) => this.#ledger.running.get(key) === undefined);
    const isSettled = this.#isSettled;
    for (const job of fresh) {
      this.#holds.drop(job.name);
      this.#ledger.wait(job);
    }
    this.#isSettled = false;
    if (!isSettled && this.#isAnyoneAhead(fresh)) return undefined;
    const placed = tryUnits({ cluster: this.#cluster, ledger: this.#ledger, holds: this.#holds }, fresh, nowMs);
    if (placed === undefined) return undefined;
    this.#isSettled = isSettled;
    return { placed, preempted: [], waiting: [] };
  }

  /**
   * Ends jobs of lower priority, those on one node whose end does least harm, for each demand of what is no job; holds the
   * room under the name until it is taken. State all that is missing, each time: what is being made already is not made
   * twice, and what is not named any more is given back (none: all of it). Jobs that were told to end for the name before
   * a restart count. Nothing happens where the policy forbids preemption, or where no such jobs are in the way.
   */
  makeRoom(wish: RoomWish): RoomInMaking {
    const making = this.#made.make(wish);
    if (making.isGivenBack) this.#isSettled = false;
    return making;
  }

  /** Room made under a name that is free by now and ceases to be held: reserve it at once. */
  takeRoom(name: string, demand: Demand): RoomMade | undefined {
    return this.#made.take(name, demand);
  }

  #isAnyoneAhead(jobs: readonly WaitingJob[]): boolean {
    const lowest = Math.min(...jobs.map(({ priority }) => priority));
    const others = new Map(this.#ledger.waiting.priorities);
    for (const { priority } of jobs) others.set(priority, (others.get(priority) ?? 0) - 1);
    return [...others].some(([priority, count]) => count > 0 && priority >= lowest);
  }
}

/** Admission over a cluster; nothing waits or runs yet. */
export function createAdmission(options: AdmissionOptions): Admission {
  return new Admission(options);
}
