import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { StoredDocument } from "@kedge/bus";
import { errorMessage, isKedgeError, KedgeError } from "@kedge/domain";
import { type Clock, jitter, type ReconcileResult } from "@kedge/kernel";
import { type CommitStatus, type CommitStatusSchema, Forge, type Repository, type Source } from "@kedge/proto";
import { createResolver } from "../alerts/addresses.ts";
import { type PostOutcome, post } from "../alerts/http-post.ts";
import type { Stores } from "../stores.ts";
import {
  attempted,
  isOwed,
  refused,
  revived,
  statusKey,
  statusOfProblem,
  statusOfRun,
  told,
  type WantedStatus,
  wanted,
} from "./commit-status.ts";
import { statusRequest } from "./forge-status-request.ts";

/** How an attempt ended; a label of metrics. */
export type StatusOutcome = "told" | "failed" | "given_up";

/** What forges are told with. */
export interface StatusSenderOptions {
  readonly stores: Pick<Stores, "repositories" | "runs" | "commitStatuses">;
  readonly secret: (name: string) => Promise<string>;
  readonly clock: Clock;
  readonly onOutcome: (repository: string, outcome: StatusOutcome) => void;
}

type Stored = StoredDocument<typeof CommitStatusSchema>;

/** Answers after which the same request would get the same answer. */
const FINAL: ReadonlySet<number> = new Set([400, 404, 410, 422]);
const MAX_WAIT_MS = 600_000;
const MAX_RACES = 20;

/**
 * Tells forges what became of commits. What they should show is stored first; then it is told until they took it. In
 * between only the newest counts: states that have passed are not told later.
 */
export class StatusSender {
  readonly #options: StatusSenderOptions;
  readonly #resolve = createResolver();
  /** Until when a repository's forge asked to be left alone (monotonic). */
  readonly #pausedUntilMs = new Map<string, number>();

  constructor(options: StatusSenderOptions) {
    this.#options = options;
  }

  /** Stores what the forge should show of a run, if it is a repository's that can be told. */
  async note(runId: string): Promise<undefined> {
    const run = this.#options.stores.runs.get(runId)?.value;
    const repository = this.#tellable(run?.source?.repositoryName);
    const want = run === undefined || repository === undefined ? undefined : statusOfRun(repository, run);
    if (want !== undefined) await this.#want(want);
    return undefined;
  }

  /** Stores that the pipelines of a commit cannot be run. */
  async noteProblem({ name }: Repository, source: Source, problem: string): Promise<void> {
    const repository = this.#tellable(name);
    if (repository !== undefined) await this.#want(statusOfProblem(repository, source, problem));
  }

  /** Tells the forge what it does not show yet. */
  async send(key: string, signal: AbortSignal): Promise<ReconcileResult | undefined> {
    const { stores, clock } = this.#options;
    const stored = stores.commitStatuses.get(key);
    const repository = this.#tellable(stored?.value.repository);
    if (stored === undefined || repository === undefined) return undefined;
    if (stored.value.givenUp && stored.value.generation !== repository.generation) {
      await this.#store(key, stored, revived(stored.value, clock.now()));
      return { requeueAfterMs: 0 };
    }
    if (!isOwed(stored.value)) return undefined;
    const dueMs = stored.value.nextAttemptAt === undefined ? 0 : timestampMs(stored.value.nextAttemptAt);
    const pauseMs = (this.#pausedUntilMs.get(repository.name) ?? 0) - clock.monotonic();
    const waitMs = Math.max(dueMs - clock.now(), pauseMs);
    if (waitMs > 0) return { requeueAfterMs: Math.min(waitMs, MAX_WAIT_MS) };
    const times = { nowMs: clock.now(), chance: jitter(), generation: repository.generation };
    const counted = await this.#store(key, stored, attempted(stored.value, times));
    const outcome = await this.#post(repository, counted.value, signal);
    if (signal.aborted) return undefined;
    return this.#settle(key, counted, repository, outcome);
  }

  async #post(repository: Repository, status: CommitStatus, signal: AbortSignal): Promise<PostOutcome> {
    try {
      const token = await this.#options.secret(repository.tokenSecret);
      const request = statusRequest(repository, status, token);
      return await post(request, { clock: this.#options.clock, resolve: this.#resolve, signal });
    } catch (error) {
      if (error instanceof KedgeError) return { kind: "failed", error: errorMessage(error) };
      throw error;
    }
  }

  async #settle(key: string, counted: Stored, { name }: Repository, outcome: PostOutcome): Promise<ReconcileResult> {
    const { clock, onOutcome } = this.#options;
    if (outcome.kind === "taken") {
      onOutcome(name, "told");
      await this.#change(key, (now) => afterTold(now, counted.value, clock.now()));
      return { requeueAfterMs: 0 };
    }
    const { error, status, retryAfterMs = 0 } = outcome;
    this.#pausedUntilMs.set(name, clock.monotonic() + retryAfterMs);
    const nowMs = clock.now();
    const isFinal = status !== undefined && FINAL.has(status);
    const after = await this.#store(
      key,
      counted,
      refused(counted.value, { error, isFinal, notBeforeMs: nowMs + retryAfterMs, nowMs }),
    );
    onOutcome(name, after.value.givenUp ? "given_up" : "failed");
    return { requeueAfterMs: 0 };
  }

  /** A forge that can be told: it is one, and there is a token for it. */
  #tellable(name: string | undefined): Repository | undefined {
    const repository = name === undefined ? undefined : this.#options.stores.repositories.get(name)?.value;
    const isTellable =
      repository !== undefined && repository.forge !== Forge.UNSPECIFIED && repository.tokenSecret !== "";
    return isTellable ? repository : undefined;
  }

  async #want(want: WantedStatus): Promise<void> {
    const key = statusKey(want);
    await this.#change(key, (before) => wanted(before, want, this.#options.clock.now()));
  }

  /** Applies a change to what is stored by then. */
  async #change(key: string, change: (before: CommitStatus | undefined) => CommitStatus): Promise<void> {
    const { commitStatuses } = this.#options.stores;
    for (let attempt = 1; ; attempt++) {
      const stored = commitStatuses.get(key);
      const after = change(stored?.value);
      if (after === stored?.value) return;
      try {
        if (stored === undefined) await commitStatuses.create(key, after);
        else await commitStatuses.update(key, after, stored.revision);
        return;
      } catch (error) {
        if (!isKedgeError(error, "CONFLICT") || attempt >= MAX_RACES) throw error;
      }
    }
  }

  #store(key: string, before: Stored, value: CommitStatus): Promise<Stored> {
    return this.#options.stores.commitStatuses.update(key, value, before.revision);
  }
}

/** What was sent is what is shown now; what is wanted may have changed meanwhile. */
function afterTold(now: CommitStatus | undefined, sent: CommitStatus, nowMs: number): CommitStatus {
  const shown = told(sent, nowMs);
  if (
    now === undefined ||
    now.runId !== sent.runId ||
    now.state !== sent.state ||
    now.description !== sent.description
  ) {
    const { told: state, toldDescription, toldRunId, toldAt } = shown;
    return now === undefined ? shown : { ...now, told: state, toldDescription, toldRunId, ...(toldAt && { toldAt }) };
  }
  return shown;
}
