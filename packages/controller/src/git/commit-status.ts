import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  CommitState,
  type CommitStatus,
  CommitStatusSchema,
  type Job,
  JobState,
  type Repository,
  type Run,
  RunState,
  type Source,
  SourceEvent,
} from "@kedge/proto";
import { statusContextOf } from "./repository-defaults.ts";
import { shortDigest } from "./run-starter.ts";

// What a forge is told of a commit, and the moves of the document that remembers it. Each move returns a new document.

/** GitHub takes no longer ones. */
const MAX_DESCRIPTION = 140;
const BACKOFF_MIN_MS = 1_000;
const BACKOFF_MAX_MS = 300_000;
const GIVE_UP_MS = 24 * 3_600_000;

/** What a forge should show. */
export interface WantedStatus {
  readonly repository: string;
  readonly commit: string;
  readonly context: string;
  readonly runId: string;
  readonly state: CommitState;
  readonly description: string;
}

const EVENTS: Readonly<Record<SourceEvent, string>> = {
  [SourceEvent.UNSPECIFIED]: "manual",
  [SourceEvent.MANUAL]: "manual",
  [SourceEvent.PUSH]: "push",
  // Found by looking, but a push all the same.
  [SourceEvent.POLL]: "push",
  [SourceEvent.TAG]: "tag",
  [SourceEvent.PULL_REQUEST]: "pull-request",
  [SourceEvent.CRON]: "cron",
  [SourceEvent.CALL]: "call",
};

/** Key of the document of a commit and context. */
export function statusKey({ repository, commit, context }: Pick<WantedStatus, "repository" | "commit" | "context">) {
  return `${repository}.${shortDigest(`${commit}\n${context}`)}`;
}

/** What the forge of a run's repository should show. A run that another one called is that one's business. */
export function statusOfRun(repository: Repository, run: Run): WantedStatus | undefined {
  const { source } = run;
  if (source === undefined || source.commit === "" || run.calledBy !== "") return undefined;
  const { state, description } = wordsOf(run);
  const context = contextOf(repository, source, run.pipeline);
  const cut = description.length > MAX_DESCRIPTION ? `${description.slice(0, MAX_DESCRIPTION - 1)}…` : description;
  return { repository: repository.name, commit: source.commit, context, runId: run.id, state, description: cut };
}

/** What it should show when the pipelines of a commit cannot be run. */
export function statusOfProblem(repository: Repository, source: Source, problem: string): WantedStatus {
  const [first = ""] = problem.split("\n");
  return {
    repository: repository.name,
    commit: source.commit,
    context: contextOf(repository, source, "pipelines"),
    runId: "",
    state: CommitState.ERROR,
    description: first.slice(0, MAX_DESCRIPTION),
  };
}

function contextOf(repository: Repository, { event }: Source, what: string): string {
  return `${statusContextOf(repository)}/${what}/${EVENTS[event]}`;
}

function wordsOf(run: Run): { readonly state: CommitState; readonly description: string } {
  switch (run.state) {
    case RunState.PENDING:
    case RunState.UNSPECIFIED:
      return { state: CommitState.PENDING, description: run.reason || (waitingFor(run.jobs) ?? "waits to begin") };
    case RunState.BLOCKED:
    case RunState.QUEUED:
      return { state: CommitState.PENDING, description: run.reason };
    case RunState.RUNNING:
      return { state: CommitState.RUNNING, description: waitingFor(run.jobs) ?? "is running" };
    case RunState.SUCCEEDED:
      return {
        state: CommitState.SUCCESS,
        description: [countWords(run.jobs), gateWords(run.jobs)].filter(Boolean).join(", "),
      };
    case RunState.FAILED:
      return { state: CommitState.FAILURE, description: failureWords(run) };
    case RunState.CANCELLED:
      return { state: CommitState.ERROR, description: run.reason || "was cancelled" };
    default:
      return run.state satisfies never;
  }
}

/** Only what people have to do something about: progress of every job would flood the forge. */
function waitingFor(jobs: readonly Job[]): string | undefined {
  const job = jobs.find(({ state, spec }) => state === JobState.BLOCKED && spec?.work.case === "approval");
  return job === undefined ? undefined : `${job.spec?.name} waits for an approval`;
}

function countWords(jobs: readonly Job[]): string {
  const passed = jobs.filter(({ state }) => state === JobState.SUCCEEDED).length;
  return `${passed} of ${jobs.length} ${jobs.length === 1 ? "job" : "jobs"} succeeded`;
}

function gateWords(jobs: readonly Job[]): string {
  const results = jobs.flatMap(({ gateResults }) => gateResults);
  if (results.length === 0) return "";
  return `gates: ${results.filter(({ passed }) => passed).length} of ${results.length} hold`;
}

function failureWords({ jobs, reason }: Run): string {
  const failed = jobs.filter(({ state }) => state === JobState.FAILED);
  const [first] = failed;
  if (first === undefined) return reason || "failed";
  const gate = first.gateResults.find(({ passed }) => !passed);
  const why = gate?.message || first.failure?.message || first.reason;
  const more = failed.length > 1 ? ` (and ${failed.length - 1} more)` : "";
  return `${first.spec?.name}${more}: ${why}`;
}

/** The document with what is wanted now; the one there is when nothing changes, or when a newer run has its say. */
export function wanted(before: CommitStatus | undefined, { ...want }: WantedStatus, nowMs: number): CommitStatus {
  if (before !== undefined && before.runId > want.runId && want.runId !== "") return before;
  const isSame = before?.state === want.state && before.description === want.description && before.runId === want.runId;
  if (before !== undefined && isSame) return before;
  const { nextAttemptAt: _, ...rest } = clone(CommitStatusSchema, before ?? create(CommitStatusSchema));
  return create(CommitStatusSchema, {
    ...{ ...rest, ...want },
    wantedAt: timestampFromMs(nowMs),
    attempts: 0,
    error: "",
    givenUp: false,
  });
}

/** Tells whether the forge shows something else than it should. */
export function isOwed({
  state,
  description,
  runId,
  told,
  toldDescription,
  toldRunId,
  givenUp,
}: CommitStatus): boolean {
  return !givenUp && (told !== state || toldDescription !== description || toldRunId !== runId);
}

/** An attempt begins: it is counted, with the time of the next, before it is made. */
export function attempted(status: CommitStatus, { nowMs, chance, generation }: AttemptTimes): CommitStatus {
  const after = clone(CommitStatusSchema, status);
  const backoffMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(status.attempts, 20));
  after.attempts += 1;
  after.generation = generation;
  after.nextAttemptAt = timestampFromMs(nowMs + Math.round(backoffMs * (0.5 + chance / 2)));
  return after;
}

/** Now, a number from 0 to 1 that spreads attempts, and which settings of the repository it is made with. */
export interface AttemptTimes {
  readonly nowMs: number;
  readonly chance: number;
  readonly generation: bigint;
}

/** The forge has taken what `sent` says. */
export function told(status: CommitStatus, nowMs: number): CommitStatus {
  const { nextAttemptAt: _, ...rest } = clone(CommitStatusSchema, status);
  const { state, description, runId } = status;
  const now = { told: state, toldDescription: description, toldRunId: runId, toldAt: timestampFromMs(nowMs) };
  return create(CommitStatusSchema, { ...rest, ...now, attempts: 0, error: "" });
}

/** The attempt failed; `isFinal`: the forge will never take it. */
export function refused(
  status: CommitStatus,
  { error, isFinal, notBeforeMs, nowMs }: { error: string; isFinal: boolean; notBeforeMs: number; nowMs: number },
): CommitStatus {
  const after = clone(CommitStatusSchema, status);
  const wantedMs = status.wantedAt === undefined ? nowMs : timestampMs(status.wantedAt);
  const plannedMs = status.nextAttemptAt === undefined ? 0 : timestampMs(status.nextAttemptAt);
  after.error = error;
  after.givenUp = isFinal || nowMs - wantedMs >= GIVE_UP_MS;
  after.nextAttemptAt = timestampFromMs(Math.max(plannedMs, notBeforeMs));
  return after;
}

/** The repository was given other settings: what was given up is tried again. */
export function revived(status: CommitStatus, nowMs: number): CommitStatus {
  const { nextAttemptAt: _, ...rest } = clone(CommitStatusSchema, status);
  return create(CommitStatusSchema, { ...rest, givenUp: false, attempts: 0, wantedAt: timestampFromMs(nowMs) });
}
