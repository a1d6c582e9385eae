import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { isKedgeError, KedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import { resolveJob } from "@kedge/pipeline";
import { type AlertReceiver, FailureClass, FailureSchema, type Job, JobState, type Run } from "@kedge/proto";
import { createResolver } from "../alerts/addresses.ts";
import { tell } from "../alerts/deliver.ts";
import type { PostOutcome } from "../alerts/http-post.ts";
import { RateLimit } from "../alerts/rate-limit.ts";
import { runTelling } from "../alerts/run-telling.ts";
import { alertPolicy } from "../alerts/stored-policy.ts";
import type { Stores } from "../stores.ts";
import { isNotifying } from "./notifying.ts";
import { resolveContext } from "./resolve-context.ts";
import { failJob } from "./task-events.ts";

/** What notify jobs are carried out with. */
export interface NotifyJobsOptions {
  readonly stores: Pick<Stores, "alertPolicy">;
  readonly clock: Clock;
  /** Queues a run to be looked at. */
  readonly touch: (runId: string) => void;
}

type Outcome = PostOutcome | { readonly kind: "impossible"; readonly error: string };

const DEFAULT_ATTEMPTS = 3;
const FIRST_DELAY_MS = 5_000;
const MAX_DELAY_MS = 600_000;
const PER_MINUTE = 60;
/** Requests at once, over all receivers; others wait for a moment. */
const CONCURRENCY = 16;
const MOMENT_MS = 500;

/**
 * Carries out notify jobs: tells a receiver of the alert policy, at least once and under the same id each time. A receiver
 * that does not take it is tried again, at growing intervals, as often as the job has attempts.
 */
export class NotifyJobs {
  readonly #options: NotifyJobsOptions;
  readonly #resolve = createResolver();
  readonly #sending = new Set<string>();
  /** Attempts that are looked at again by themselves. */
  readonly #waiting = new Set<string>();
  /** How attempts ended, until the run's document says so. */
  readonly #outcomes = new Map<string, Outcome>();
  readonly #limits = new Map<string, RateLimit>();

  constructor(options: NotifyJobsOptions) {
    this.#options = options;
  }

  /** Begins to tell, unless that is under way, done, or not due yet. May be repeated; waits for nothing. */
  act(run: Run, job: Job): void {
    const { clock, touch } = this.#options;
    const key = attemptOf(run, job);
    if (this.#sending.has(key) || this.#outcomes.has(key) || this.#waiting.has(key)) return;
    const wait = this.#waitMs(job) || this.#begin(run, job, key);
    if (wait === 0) return;
    this.#waiting.add(key);
    clock.after(wait, () => {
      this.#waiting.delete(key);
      touch(run.id);
    });
  }

  #waitMs({ notBefore }: Job): number {
    const untilDue = notBefore === undefined ? 0 : timestampMs(notBefore) - this.#options.clock.now();
    if (untilDue > 0) return untilDue;
    return this.#sending.size < CONCURRENCY ? 0 : MOMENT_MS;
  }

  /** Tells whether an attempt has ended and the run's document does not say so yet. */
  hasNews(run: Run): boolean {
    return (
      this.#outcomes.size > 0 && run.jobs.some((job) => isNotifying(job) && this.#outcomes.has(attemptOf(run, job)))
    );
  }

  /** Takes what became of attempts into the run's notify jobs, in place. */
  observe(run: Run, at: Timestamp): void {
    if (this.#outcomes.size === 0) return;
    for (const job of run.jobs) {
      const outcome = isNotifying(job) ? this.#outcomes.get(attemptOf(run, job)) : undefined;
      if (outcome !== undefined) settle(job, outcome, at);
    }
    // An outcome stays until the document is stored: an attempt that counts once more has another name by then.
    for (const key of this.#outcomes.keys()) if (this.#outcomes.size > CONCURRENCY * 64) this.#outcomes.delete(key);
  }

  /** Forgets what is remembered of a run that has ended. */
  forget({ id }: Run): void {
    for (const key of this.#outcomes.keys()) if (key.startsWith(`${id}/`)) this.#outcomes.delete(key);
  }

  /** @returns the milliseconds until it may be tried, 0 when it was begun. */
  #begin(run: Run, job: Job, key: string): number {
    try {
      const { receiver, message } = this.#resolved(run, job);
      const wait = this.#limitOf(receiver).take(this.#options.clock.monotonic());
      if (wait === 0) this.#tell(receiver, { run, job, message, key });
      return wait;
    } catch (error) {
      if (!isKedgeError(error)) throw error;
      this.#outcomes.set(key, { kind: "impossible", error: error.message });
      return 1;
    }
  }

  #tell(receiver: AlertReceiver, { run, job, message, key }: Attempt): void {
    const { clock, touch } = this.#options;
    const telling = runTelling({ id: noticeId(run, job), run, job, message, nowMs: clock.now() });
    this.#sending.add(key);
    const { signal } = new AbortController();
    void tell(receiver, telling, { clock, resolve: this.#resolve, signal }).then((outcome) => {
      this.#sending.delete(key);
      this.#outcomes.set(key, outcome);
      touch(run.id);
    });
  }

  #resolved(run: Run, { spec }: Job): { readonly receiver: AlertReceiver; readonly message: string } {
    const work = spec && resolveJob(spec, resolveContext(run)).work;
    if (work?.case !== "notify") throw new TypeError("a job without a notice cannot notify");
    const { receivers } = alertPolicy(this.#options.stores);
    const receiver = receivers.find(({ name }) => name === work.value.receiver);
    if (receiver !== undefined) return { receiver, message: work.value.message };
    throw new KedgeError("RECEIVER_NOT_FOUND", `the alert policy has no receiver ${work.value.receiver}`, {
      field: "receiver",
    });
  }

  #limitOf({ name, maxPerMinute }: AlertReceiver): RateLimit {
    const key = `${name}/${maxPerMinute}`;
    const known = this.#limits.get(key);
    if (known !== undefined) return known;
    const limit = new RateLimit(maxPerMinute || PER_MINUTE, this.#options.clock.monotonic());
    this.#limits.set(key, limit);
    return limit;
  }
}

interface Attempt {
  readonly run: Run;
  readonly job: Job;
  readonly message: string;
  readonly key: string;
}

function settle(job: Job, outcome: Outcome, at: Timestamp): void {
  const receiver = job.spec?.work.case === "notify" ? job.spec.work.value.receiver : "";
  job.told++;
  delete job.notBefore;
  if (outcome.kind === "taken") {
    job.state = JobState.SUCCEEDED;
    job.reason = `told ${receiver}`;
    job.finishedAt = at;
    return;
  }
  const message = `${receiver}: ${outcome.error}`;
  if (outcome.kind === "impossible" || job.told >= (job.spec?.maxAttempts || DEFAULT_ATTEMPTS)) {
    const failed = outcome.kind === "impossible" ? FailureClass.INVALID : FailureClass.INFRASTRUCTURE;
    failJob(job, create(FailureSchema, { class: failed, message }), at);
    return;
  }
  const delayMs = Math.min(MAX_DELAY_MS, outcome.retryAfterMs ?? FIRST_DELAY_MS * 2 ** Math.min(20, job.told - 1));
  job.notBefore = timestampFromMs(timestampMs(at) + delayMs);
  job.reason = `${message}; tried again in ${Math.ceil(delayMs / 1000)} s`;
}

/** Names what is told, for receivers that count it once. */
function noticeId(run: Run, job: Job): string {
  return `${run.id}.${job.spec?.name}.${readyMs(job)}`;
}

function attemptOf(run: Run, job: Job): string {
  return `${run.id}/${job.spec?.name}/${readyMs(job)}/${job.told}`;
}

function readyMs({ readyAt }: Job): number {
  return readyAt === undefined ? 0 : timestampMs(readyAt);
}
