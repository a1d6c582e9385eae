import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { isJobEnded, isKedgeError, isRunEnded, KedgeError } from "@kedge/domain";
import { type Clock, jitter, type ReconcileResult } from "@kedge/kernel";
import {
  FailureClass,
  FailureSchema,
  type Job,
  JobState,
  type Run,
  type Task,
  type TaskEvent,
  TaskFinishedSchema,
  TaskState,
} from "@kedge/proto";
import type { EventRecorder } from "../events/recorder.ts";
import type { Artifacts } from "../files/artifacts.ts";
import type { ControllerMetrics } from "../metrics.ts";
import type { ModelRegistry } from "../models/registry.ts";
import type { AssignmentWriter } from "../nodes/assignment-writer.ts";
import type { CapacityBook } from "../nodes/capacity-book.ts";
import type { NodeRegistry } from "../nodes/registry.ts";
import type { Scheduling } from "../scheduling/scheduling.ts";
import type { Stores } from "../stores.ts";
import type { CallJobs } from "./call-jobs.ts";
import { isCalling } from "./calling.ts";
import { nextDeadlineMs } from "./deadlines.ts";
import type { DeployJobs } from "./deploy-jobs.ts";
import { type Dispatcher, OFFER_TIMEOUT_MS } from "./dispatch.ts";
import { activeTasks } from "./endings.ts";
import type { TaskInbox } from "./inbox.ts";
import type { NotifyJobs } from "./notify-jobs.ts";
import { isNotifying } from "./notifying.ts";
import { assertPossible, explainWaiting, loseTasks, lostAttempts, offerJobs, preemptTasks } from "./placement.ts";
import { progressRun } from "./progress.ts";
import { copyRun, isSameRun } from "./run-copy.ts";
import { recordPreemptions, recordRunEvents } from "./run-events.ts";
import type { RunGroups } from "./run-groups.ts";
import { applyTaskEvent, preemptionReason } from "./task-events.ts";

/** What runs are reconciled with. */
export interface RunReconcilerOptions {
  readonly stores: Stores;
  readonly book: CapacityBook;
  readonly registry: NodeRegistry;
  readonly models: ModelRegistry;
  readonly artifacts: Artifacts;
  readonly dispatcher: Dispatcher;
  readonly assignments: AssignmentWriter;
  readonly deployJobs: DeployJobs;
  readonly callJobs: CallJobs;
  readonly notifyJobs: NotifyJobs;
  readonly inbox: TaskInbox;
  readonly scheduling: Scheduling;
  readonly groups: RunGroups;
  /** Tells whether this controller may write. */
  readonly isLeader: () => boolean;
  readonly metrics: () => Pick<ControllerMetrics, "placed" | "preempted"> | undefined;
  readonly events: EventRecorder;
  readonly clock: Clock;
}

/** A run that has something going on is looked at this often even if nothing happens. */
const RESYNC_MS = 5_000;
/** One that only waits is woken by what it waits for; it is looked at after half to all of this in case that was missed. */
const IDLE_RESYNC_MS = 60_000;
const WAITING: ReadonlySet<JobState> = new Set([JobState.WAITING, JobState.BLOCKED, JobState.HELD]);

/**
 * Moves runs on. Everything a run is, is in its document: the reconciler applies what arrived, computes the next
 * document, stores it with compare-and-set, and only then acts (offers, cancels, deployments). Each act can be
 * repeated, so a crash between storing and acting is repaired by the next look.
 */
export class RunReconciler {
  readonly #options: RunReconcilerOptions;
  /** Runs whose documents are being written. */
  readonly #storing = new Set<string>();
  /** Revision of each run's document that is as far as it can go by itself, of runs that have not ended. */
  readonly #advanced = new Map<string, number>();

  constructor(options: RunReconcilerOptions) {
    this.#options = options;
  }

  /** Brings one run up to date. Not to be called for the same run twice at once. */
  async reconcile(runId: string): Promise<ReconcileResult | undefined> {
    try {
      return await this.#bringUpToDate(runId);
    } finally {
      this.#options.groups.settle(runId);
    }
  }

  async #bringUpToDate(runId: string): Promise<ReconcileResult | undefined> {
    const { stores, inbox } = this.#options;
    const arrived = inbox.peek(runId);
    const stored = stores.runs.get(runId);
    if (stored === undefined || isRunEnded(stored.value.state)) {
      inbox.settle(runId, arrived.length);
      this.#advanced.delete(runId);
      if (stored !== undefined) this.#forget(stored.value);
      return undefined;
    }
    const isAdvanced = this.#advanced.get(runId) === stored.revision;
    if (isAdvanced && arrived.length === 0 && this.#isQuiet(stored.value)) {
      await this.#act(stored.value);
      return this.#again(stored.value);
    }
    const events = [...arrived, ...(await this.#unread(stored.value))];
    const next = await this.#take(stored.value, stored.revision, events).catch((error: unknown) => {
      if (!isKedgeError(error, "TOO_LARGE")) throw error;
      // Everybody's events wait behind these, so they must not fail for ever.
      return this.#take(stored.value, stored.revision, events.flatMap(withoutReport));
    });
    inbox.settle(runId, arrived.length);
    await this.#act(next);
    return this.#again(next);
  }

  /**
   * The ends of attempts that look lost but are not: an attempt that ended before its node was gone, or while nobody
   * read events, must not be made again.
   */
  async #unread(run: Run): Promise<TaskEvent[]> {
    const { dispatcher, clock, registry } = this.#options;
    const lost = lostAttempts(run, timestampFromMs(clock.now()), registry);
    const last = await Promise.all(lost.map(({ job, task }) => dispatcher.lastEvent(run, job, task)));
    return last.flatMap((event) => (event?.event.case === "finished" ? event : []));
  }

  /**
   * Stores a new run with everything that can be decided at once, its first placements included. The caller queues it:
   * offers go out with its first reconciliation, not before the answer to whoever submitted it.
   *
   * @throws KedgeError JOB_IMPOSSIBLE when a job fits no node there is, were it idle.
   */
  async submit(run: Run): Promise<Run> {
    assertPossible(run, this.#options.scheduling);
    return await this.#advance(run, undefined, 0);
  }

  /** Tells whether a change of the run is our own, which needs no look. */
  isStoring(runId: string): boolean {
    return this.#storing.has(runId);
  }

  /** Tells whether nothing can have changed for a run since its document was written: thousands are looked at a second. */
  #isQuiet(run: Run): boolean {
    const { clock, scheduling, registry, dispatcher, groups, callJobs, notifyJobs } = this.#options;
    const nowMs = clock.now();
    return (
      !groups.hasNews(run) &&
      !callJobs.hasNews(run) &&
      !notifyJobs.hasNews(run) &&
      !scheduling.hasNews(run.id) &&
      !dispatcher.hasNews(run) &&
      run.jobs.every(isUneventful) &&
      (nextDeadlineMs(run) ?? Number.POSITIVE_INFINITY) > nowMs &&
      lostAttempts(run, timestampFromMs(nowMs), registry).length === 0
    );
  }

  #take(before: Run, revision: number, arrived: readonly TaskEvent[]): Promise<Run> {
    const run = copyRun(before);
    const at = timestampFromMs(this.#options.clock.now());
    this.#options.dispatcher.observe(run, at);
    for (const event of arrived) applyTaskEvent(run, event, at);
    if (arrived.length > 0) this.#options.artifacts.observe(run);
    return this.#advance(run, before, revision);
  }

  async #advance(run: Run, before: Run | undefined, revision: number): Promise<Run> {
    const { book, registry, models, deployJobs, callJobs, notifyJobs, clock, events, scheduling, groups } =
      this.#options;
    const at = timestampFromMs(clock.now());
    // The book may not know yet that the node is gone; the next attempt must not go there.
    for (const nodeId of loseTasks(run, at, registry)) book.syncNode(nodeId);
    deployJobs.observe(run, at);
    callJobs.observe(run, at);
    notifyJobs.observe(run, at);
    groups.apply(run, at);
    progressRun(run, at, (model, version, metric) => models.metric(model, version, metric));
    const preempted = preemptTasks(run, scheduling.preemptions(run.id));
    const offered = offerJobs(run, scheduling.roomFor(run), at);
    explainWaiting(run, at, scheduling);
    // A job that no node could ever take has failed for good.
    progressRun(run, at, (model, version, metric) => models.metric(model, version, metric));
    const isChanged = before === undefined || preempted.length > 0 || offered > 0 || !isSameRun(run, before);
    if (!isChanged) {
      this.#advanced.set(run.id, revision);
      return run;
    }
    await this.#store(run, before === undefined ? undefined : revision);
    this.#options.metrics()?.placed(offered);
    for (const _ of preempted) this.#options.metrics()?.preempted();
    recordRunEvents(events, before, run);
    recordPreemptions(events, run, preempted);
    return run;
  }

  async #store(run: Run, revision: number | undefined): Promise<void> {
    const { stores, scheduling, isLeader } = this.#options;
    this.#storing.add(run.id);
    try {
      if (!isLeader()) throw new KedgeError("NOT_LEADER", "the lease was lost between decision and writing");
      const create = (): Promise<{ revision: number }> => stores.runs.create(run.id, run);
      const written = revision === undefined ? create() : stores.runs.update(run.id, run, revision);
      this.#advanced.set(run.id, (await written).revision);
    } catch (error) {
      if (!isUndecided(error, revision)) scheduling.giveBack(run);
      throw error;
    } finally {
      this.#storing.delete(run.id);
    }
  }

  async #act(run: Run): Promise<void> {
    const { deployJobs, callJobs, notifyJobs, assignments } = this.#options;
    for (const { job, task } of activeTasks(run)) {
      const mustEnd = task.ending !== undefined || isJobEnded(job.state) || task.preemptedBy !== "";
      if (task.state === TaskState.OFFERED) await this.#tendOffer(run, job, task);
      else if (mustEnd) await assignments.cancelTask(task.nodeId, { taskId: task.id, fence: task.fence });
    }
    for (const job of run.jobs) {
      if (job.state === JobState.RUNNING && job.spec?.work.case === "deploy") await deployJobs.act(run, job);
      if (isCalling(job)) await callJobs.act(run, job);
      if (isNotifying(job)) notifyJobs.act(run, job);
    }
  }

  async #tendOffer(run: Run, job: Job, task: Task): Promise<void> {
    const { dispatcher } = this.#options;
    const reason = this.#withdrawalReason(task);
    // Either way the event stream tells what happened, through the inbox.
    if (reason !== undefined) await dispatcher.withdraw(run, job, task, reason);
    else await dispatcher.offer(run, job, task);
  }

  #withdrawalReason(task: Task): string | undefined {
    const { dispatcher, scheduling } = this.#options;
    if (task.preemptedBy !== "") return preemptionReason(task);
    if (task.ending !== undefined) return task.ending.message;
    if (scheduling.isExcess(task.id)) return `${task.nodeId} has no room for it any more`;
    return dispatcher.offerAgeMs(task) > OFFER_TIMEOUT_MS ? `${task.nodeId} did not claim it in time` : undefined;
  }

  #again(run: Run): ReconcileResult | undefined {
    if (isRunEnded(run.state)) {
      this.#forget(run);
      return undefined;
    }
    const { deployJobs, callJobs, notifyJobs, dispatcher } = this.#options;
    const tellers = [deployJobs, callJobs, notifyJobs, dispatcher];
    if (tellers.some((teller) => teller.hasNews(run))) return { requeueAfterMs: 0 };
    const deadlineMs = nextDeadlineMs(run) ?? Number.POSITIVE_INFINITY;
    const waitMs = Math.max(1, deadlineMs - this.#options.clock.now());
    return { requeueAfterMs: Math.min(waitMs, resyncMs(run)) };
  }

  #forget(run: Run): void {
    this.#advanced.delete(run.id);
    this.#options.deployJobs.forget(run);
    this.#options.callJobs.forget(run);
    this.#options.notifyJobs.forget(run);
    this.#options.dispatcher.observe(run, timestampFromMs(this.#options.clock.now()));
  }
}

/**
 * Tells whether a document may be stored although writing it failed, or will be when it is tried again: then the room
 * stays reserved until a document decides.
 */
function isUndecided(error: unknown, revision: number | undefined): boolean {
  if (isKedgeError(error, "CONFLICT")) return revision !== undefined;
  return !isKedgeError(error, "TOO_LARGE") && !isKedgeError(error, "NOT_LEADER");
}

function resyncMs(run: Run): number {
  if (run.jobs.every(isIdle)) return IDLE_RESYNC_MS * (0.5 + jitter() / 2);
  return RESYNC_MS;
}

/** Tells whether a job moves only by events, deadlines and decisions: not one that waits for room or a rollout. */
function isUneventful(job: Job): boolean {
  const isDeploying = job.state === JobState.RUNNING && job.spec?.work.case === "deploy";
  return job.state !== JobState.PENDING && !isDeploying;
}

/** Tells whether a job moves only when somebody wakes its run: room comes free, a person decides, another job ends. */
function isIdle(job: Job): boolean {
  // What looks impossible fails as soon as every node has been heard of, of which nobody tells.
  if (job.state === JobState.PENDING) return job.pending?.impossible === false;
  return isJobEnded(job.state) || WAITING.has(job.state);
}

/** A finish without what made the run's document too large; other events are only told for people and are dropped. */
function withoutReport(event: TaskEvent): TaskEvent[] {
  if (event.event.case === "claimed" || event.event.case === "started" || event.event.case === "withdrawn")
    return [event];
  if (event.event.case !== "finished") return [];
  const failure = create(FailureSchema, {
    class: FailureClass.INVALID,
    message: "the run reported more than its document can hold",
  });
  const finished = create(TaskFinishedSchema, { state: TaskState.FAILED, failure });
  return [{ ...event, event: { case: "finished", value: finished } }];
}
