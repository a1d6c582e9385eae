import type { Clock } from "@kedge/kernel";
import {
  type Job,
  type JobSpec,
  JobState,
  type PlacementExplanation,
  type Run,
  TaskState,
  type TeamUsage,
} from "@kedge/proto";
import {
  type Admission,
  type Cluster,
  createAdmission,
  type Demand,
  type Placed,
  type RoomMade,
  type StillWaiting,
  type WaitingJob,
} from "@kedge/scheduler";
import type { CapacityBook } from "../nodes/capacity-book.ts";
import type { Stores } from "../stores.ts";
import { type Followed, FollowedRuns } from "./followed-runs.ts";
import { type Grant, Grants } from "./grants.ts";
import { isPreemptible, type JobOwner, nextAttempt, runningJob, waitingJob } from "./job-demand.ts";
import { jobResources } from "./job-resources.ts";
import { OfferAudit } from "./offer-audit.ts";
import { type PassOutcome, PassTimer } from "./pass-timer.ts";
import { pastRunsOf } from "./past-runs.ts";
import { schedulingPolicy } from "./policy.ts";
import { PreemptionOrders } from "./preemption-orders.ts";
import { Reasons } from "./reasons.ts";
import { WaitingDemands } from "./waiting-demands.ts";

/** What scheduling works with. */
export interface SchedulingOptions {
  readonly stores: Stores;
  readonly book: CapacityBook;
  readonly clock: Clock;
  /** Told of every pass. */
  readonly onPass: (report: PassReport) => void;
}

/** What a pass did. */
export interface PassReport {
  readonly ms: number;
  readonly placed: number;
  /** Jobs that room is held for since this pass. */
  readonly held: readonly StillWaiting[];
}

/** A grant whose run nobody has seen after this time will not be used: its submission failed. */
const ORPHAN_MS = 30_000;
/** Demands whose possibility is looked at again in one pass. */
const DOUBTS_PER_PASS = 20;

/**
 * The one place where room is given to jobs. It follows the runs' documents: pending jobs wait in the admission, placed
 * ones hold room. A pass decides for all that wait; its grants go into the runs' documents through their reconcilers. A
 * job that becomes ready while nobody can be ahead of it gets its room at once.
 */
export class Scheduling {
  readonly reasons: Reasons;
  readonly #options: SchedulingOptions;
  readonly #grants = new Grants();
  readonly #runs = new FollowedRuns();
  readonly #demands = new WaitingDemands();
  readonly #timer: PassTimer;
  readonly #orders = new PreemptionOrders();
  readonly #offers = new OfferAudit();
  #admission: Admission | undefined;
  #wake = (_runId: string): void => {};
  #queue: readonly StillWaiting[] = [];
  #held: ReadonlySet<string> = new Set();
  #version = -1;

  constructor(options: SchedulingOptions) {
    this.#options = options;
    this.reasons = new Reasons(options.book, options.clock);
    this.#timer = new PassTimer({ clock: options.clock, pass: () => this.#pass() });
  }

  /** Takes over what the documents say. Call once the book is loaded, at each start of the loops. */
  start(wake: (runId: string) => void): void {
    const { stores, book } = this.#options;
    this.#wake = wake;
    this.#admission = createAdmission({ cluster: book.cluster, policy: schedulingPolicy(stores) });
    for (const [runId, { value }] of stores.runs.entries()) {
      for (const past of pastRunsOf(value)) this.#admission.charge(past);
      this.#follow(runId);
    }
    this.#examineOffers();
    this.#timer.start();
  }

  /** Gives no more room; what is under way into documents is found there by the next start. */
  stop(): void {
    this.#timer.stop();
    this.#admission = undefined;
    this.#grants.clear();
    this.#runs.clear();
    this.#demands.clear();
    this.#orders.clear();
    this.#offers.clear();
    this.#queue = [];
  }

  /** Takes over a run's newest document; call after every change. */
  follow(runId: string): void {
    this.#follow(runId);
    this.#examineOffers();
  }

  #follow(runId: string): void {
    if (this.#admission === undefined) return;
    const run = this.#options.stores.runs.get(runId)?.value;
    const { gone, changed } = this.#runs.update(runId, run);
    for (const followed of gone) this.#leave(runId, followed);
    for (const followed of changed) {
      if (run === undefined) continue;
      if (followed.task === undefined) this.#enqueue(run, followed);
      else this.#occupy(run, followed);
    }
    if (gone.length > 0 || changed.some(({ task }) => task === undefined)) this.#timer.request();
  }

  /** Something changed that may let waiting jobs in: a node, an assignment. */
  noteRoom(): void {
    this.#admission?.noteRoom();
    this.#timer.request();
  }

  /** A node's capacity or state changed: offers that it has no room for any more are taken back. */
  nodeChanged(nodeId: string): void {
    for (const { key } of this.#options.book.cluster.reservationsOn(nodeId)) {
      const runId = this.#runs.offeredBy(key);
      if (runId !== undefined) this.#offers.suspect(key, { runId, nodeId });
    }
    this.#examineOffers();
    this.noteRoom();
  }

  /** Takes over the stored policy. */
  policyChanged(): void {
    this.#admission?.setPolicy(schedulingPolicy(this.#options.stores));
    this.#timer.request();
  }

  /**
   * Room for the pending jobs of a run's next document, by job: what passes granted, and what can be had at once because
   * nobody who waits could be ahead. The room is reserved until the document is followed, or it is given back.
   */
  roomFor(run: Run): ReadonlyMap<string, Grant> {
    for (const grant of [...this.#grants.of(run.id).values()]) {
      const job = run.jobs.find(({ spec }) => spec?.name === grant.job);
      const isWanted = job?.state === JobState.PENDING && nextAttempt(run, job).taskId === grant.taskId;
      if (!isWanted) this.#refuse(run.id, grant);
    }
    const fresh = run.jobs.filter((job) => job.state === JobState.PENDING && this.#isFresh(run, job));
    const waiting = fresh.flatMap((job) => (job.spec ? waitingJob(run, job, job.spec, this.bytesOf) : []));
    // A gang's members start together, the others one by one.
    for (const unit of Map.groupBy(waiting, ({ gang, key }) => gang?.id ?? key).values()) this.#grantNow(unit);
    return this.#grants.of(run.id);
  }

  /** Gives back the room for a document that was not stored, and its jobs' places in the queue. */
  giveBack(run: Run): void {
    for (const grant of [...this.#grants.of(run.id).values()]) this.#refuse(run.id, grant);
    for (const job of run.jobs) {
      const { taskId } = nextAttempt(run, job);
      if (!this.#runs.waits(run.id, taskId)) this.#admission?.forget(taskId);
    }
  }

  /** Tells whether a decision waits to be taken into the run's document. */
  hasNews(runId: string): boolean {
    return this.#grants.of(runId).size > 0 || this.#orders.has(runId);
  }

  /** "<run>/<job>", or the deployment, that gets the room of each of the run's tasks that have to end, by task. */
  preemptions(runId: string): ReadonlyMap<string, string> {
    return this.#orders.of(runId);
  }

  /**
   * Jobs of lower priority make room for replicas that found none; gives where, once for each replica. State all that a
   * deployment is short of, each time; none gives back what was held for it. See `Admission.makeRoom`.
   */
  makeRoom(deployment: string, demands: readonly Demand[], priority: number): readonly string[] {
    const nowMs = this.#options.clock.now();
    const making = this.#admission?.makeRoom({ name: deployment, demands, priority, nowMs });
    for (const runId of new Set(making?.preempted.map((preemption) => this.#orders.add(preemption)))) this.#wake(runId);
    if (making?.isGivenBack) this.noteRoom();
    return making?.nodeIds ?? [];
  }

  /** Ends the tasks on a node that may be tried elsewhere, as preemption does: they wait again, no attempt is used up. */
  evict(nodeId: string, by: string): void {
    for (const { key } of this.#options.book.cluster.reservationsOn(nodeId)) {
      const held = this.#runs.holder(key);
      if (held === undefined || !isPreemptible(held.spec) || this.#orders.of(held.runId).has(key)) continue;
      if (held.task?.preemptedBy === "") this.#wake(this.#orders.add({ key, preemptedBy: by }));
    }
  }

  /** Room that was made for a replica and is free by now: reserve it at once, nobody holds it any more. */
  takeRoom(deployment: string, demand: Demand): RoomMade | undefined {
    return this.#admission?.takeRoom(deployment, demand);
  }

  /** Tells whether an offer must be taken back because its node has no room for it. */
  isExcess(taskId: string): boolean {
    return this.#offers.isExcess(taskId);
  }

  /** Bytes of an image, as nodes report it; 0 when none does. */
  readonly bytesOf = (image: string): number => this.#options.book.imageBytes(image);

  /** Briefly why a pending job has no room. */
  reasonFor(run: Run, spec: JobSpec): PlacementExplanation {
    return this.reasons.of(spec, this.ownerOf(run));
  }

  /** Why no node could ever take a job; undefined while one could, or while that cannot be said. */
  impossible(run: Run, spec: JobSpec): PlacementExplanation | undefined {
    return this.reasons.impossible(spec, this.ownerOf(run));
  }

  ownerOf(run: Run): JobOwner {
    return { runId: run.id, pipeline: run.pipeline, bytesOf: this.bytesOf };
  }

  /** What waits, in the order of the last pass. */
  get queue(): readonly StillWaiting[] {
    return this.#queue;
  }

  /** A job's place in the queue, as of the last pass. */
  waiting(name: string): StillWaiting | undefined {
    return this.#queue.find(({ job }) => job.name === name);
  }

  /** The cluster that is decided over. */
  get cluster(): Cluster {
    return this.#options.book.cluster;
  }

  /** What teams may use, hold and have used; empty while this controller does not lead. */
  teams(nowMs: number): readonly TeamUsage[] {
    return this.#admission?.teamUsage(nowMs) ?? [];
  }

  #isFresh(run: Run, job: Job): boolean {
    const { taskId } = nextAttempt(run, job);
    return !this.#grants.has(run.id, taskId) && !this.#runs.waits(run.id, taskId);
  }

  #grantNow(jobs: readonly WaitingJob[]): void {
    const plan = this.#admission?.tryNow(jobs, this.#options.clock.now());
    for (const placed of plan?.placed ?? []) this.#grant(placed);
  }

  #grant({ job, nodeId, gpuIndices }: Placed): string {
    const [runId = "", name = ""] = job.name.split("/");
    this.#grants.add(runId, { job: name, taskId: job.key, nodeId, gpuIndices, atMs: this.#options.clock.now() });
    return runId;
  }

  #refuse(runId: string, grant: Grant): void {
    this.#grants.remove(runId, grant.job);
    this.#admission?.forget(grant.taskId);
    this.#options.book.cluster.release(grant.taskId);
    // If its document still has the job waiting, it waits again.
    this.#runs.forget(runId, grant.taskId);
    this.follow(runId);
  }

  #leave(runId: string, { key, name, spec, task }: Followed): void {
    this.#admission?.forget(key, task === undefined ? undefined : this.#options.clock.now());
    this.#options.book.cluster.release(key);
    this.#demands.remove(this.reasons.textOf(spec), name);
    if (this.#grants.has(runId, key)) this.#grants.remove(runId, spec.name);
    this.#offers.forget(key);
    this.#orders.remove(runId, key);
  }

  #enqueue(run: Run, { key, name, job, spec }: Followed): void {
    if (this.#grants.has(run.id, key)) return;
    this.#admission?.wait(waitingJob(run, job, spec, this.bytesOf));
    this.#demands.add(this.reasons.textOf(spec), spec, { name, runId: run.id });
  }

  #occupy(run: Run, { key, name, job, spec, task }: Followed): void {
    const running = task && runningJob(run, job, task, this.bytesOf);
    if (task === undefined || running === undefined) return;
    const { cluster } = this.#options.book;
    if (cluster.reservation(key)?.nodeId !== task.nodeId) {
      const { spreadKey, workload, artifacts = [] } = running.demand;
      const names = artifacts.map((artifact) => artifact.name);
      cluster.reserve(task.nodeId, key, jobResources(spec), {
        gpuIndices: task.gpuIndices,
        spreadKey,
        workload,
        artifacts: names,
      });
      // Another controller placed it, perhaps where we have placed something else by now.
      if (task.state === TaskState.OFFERED) {
        this.#offers.suspect(key, { runId: run.id, nodeId: task.nodeId });
      }
    }
    this.#grants.remove(run.id, spec.name);
    this.#demands.remove(this.reasons.textOf(spec), name);
    this.#admission?.run(running);
    if (task.preemptedBy !== "") this.#orders.remove(run.id, key);
  }

  #pass(): PassOutcome {
    const admission = this.#admission;
    if (admission === undefined) return { isOpen: false, isVain: true };
    const { clock, onPass } = this.#options;
    const beganMs = clock.monotonic();
    if (admission.isIdle()) return this.#rest();
    const plan = admission.pass(clock.now());
    this.#queue = plan.waiting;
    const runs = new Set(plan.placed.map((placed) => this.#grant(placed)));
    for (const preemption of plan.preempted) runs.add(this.#orders.add(preemption));
    for (const runId of this.#nowPossibleOrNot()) runs.add(runId);
    this.#sweep();
    for (const runId of runs) this.#wake(runId);
    onPass({ ms: clock.monotonic() - beganMs, placed: plan.placed.length, held: this.#newlyHeld() });
    return { isOpen: plan.waiting.length > 0 || this.#grants.size > 0, isVain: runs.size === 0 };
  }

  /** Nobody waits. */
  #rest(): PassOutcome {
    this.#queue = [];
    this.#held = new Set();
    this.#sweep();
    return { isOpen: this.#grants.size > 0, isVain: true };
  }

  #newlyHeld(): StillWaiting[] {
    const held = this.#queue.filter(({ reserved }) => reserved !== undefined);
    const before = this.#held;
    this.#held = new Set(held.map(({ job }) => job.name));
    return held.filter(({ job }) => !before.has(job.name));
  }

  #nowPossibleOrNot(): Set<string> {
    const { book } = this.#options;
    if (this.#version !== book.version) this.#demands.doubt();
    this.#version = book.version;
    const owner = { runId: "", pipeline: "", bytesOf: this.bytesOf };
    const changed = this.#demands.settle((spec) => this.reasons.impossible(spec, owner) !== undefined, DOUBTS_PER_PASS);
    if (this.#demands.hasDoubts) this.#timer.request();
    return changed;
  }

  #examineOffers(): void {
    for (const runId of this.#offers.examine(this.#options.book.cluster)) this.#wake(runId);
  }

  #sweep(): void {
    for (const runId of this.#grants.runsBefore(this.#options.clock.now() - ORPHAN_MS)) {
      if (this.#options.stores.runs.get(runId) !== undefined) continue;
      for (const grant of [...this.#grants.of(runId).values()]) this.#refuse(runId, grant);
    }
  }
}
