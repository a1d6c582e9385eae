import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type Decision,
  DecisionSchema,
  FailureClass,
  FailureSchema,
  type Job,
  JobState,
  Role,
  type Run,
} from "@kedge/proto";
import type { Principal } from "@kedge/rpc";
import { DEFAULT_TEAM } from "../scheduling/job-demand.ts";
import { enterBeginning } from "./beginning.ts";
import { failJob } from "./task-events.ts";

const MAX_COMMENT = 1_000;

/** A person's word, before it is on record. */
export interface Word {
  readonly principal: Principal;
  readonly approved: boolean;
  readonly comment: string;
}

/** Why somebody may not decide on an approval job; undefined: they may. Who submitted the run may always reject. */
export function decisionObstacle(
  run: Run,
  job: Job,
  { principal, approved }: Omit<Word, "comment">,
): string | undefined {
  const approval = job.spec?.work.case === "approval" ? job.spec.work.value : undefined;
  if (approval === undefined) return `${job.spec?.name} is no approval`;
  const { approvers, notBySubmitter } = approval;
  if (approvers.length > 0 && !approvers.some((approver) => isMeant(approver, principal)))
    return `it is for ${approvers.join(", ")}`;
  if (!approved || !notBySubmitter || !isSubmitter(run, principal)) return undefined;
  return `${principal.name} submitted the run, and somebody else has to approve it`;
}

/**
 * Puts a word on a blocked approval job on record, in place. So many different people must approve; a rejection ends it.
 * The same person's second approval changes nothing.
 */
export function decideJob(run: Run, job: Job, word: Word, at: Timestamp): void {
  const { name } = word.principal;
  const known = job.decisions.some(({ by, approved }) => by === name && approved);
  if (!word.approved || !known) job.decisions.push(decisionOf(run, word, at));
  job.decidedBy = [...new Set(job.decisions.map(({ by }) => by))].join(", ");
  if (!word.approved) {
    const message = decisionText("rejected", word);
    failJob(job, create(FailureSchema, { class: FailureClass.REJECTED, message }), at);
    return;
  }
  const missing = missingApprovals(job);
  job.reason =
    missing === 0 ? decisionText("approved", word) : `approved by ${job.decidedBy}; ${missing} more to approve`;
  if (missing > 0) return;
  job.state = JobState.SUCCEEDED;
  job.finishedAt = at;
}

/** How many more people have to approve a job. */
export function missingApprovals({ spec, decisions }: Job): number {
  const required = spec?.work.case === "approval" ? spec.work.value.required || 1 : 1;
  const people = new Set(decisions.filter(({ approved }) => approved).map(({ by }) => by));
  return Math.max(0, required - people.size);
}

/** Lets a blocked run begin, its commit and no other, or ends it, in place. */
export function decideRun(run: Run, word: Word, at: Timestamp): void {
  run.decision = decisionOf(run, word, at);
  if (word.approved) {
    enterBeginning(run);
    run.releasedAt = at;
    return;
  }
  run.cancelRequested = true;
  run.reason = decisionText("rejected", word);
}

/** A word in one line. */
export function decisionText(what: "approved" | "rejected", { principal, comment }: Word): string {
  const words = clipped(comment);
  return words === "" ? `${what} by ${principal.name}` : `${what} by ${principal.name}: ${words}`;
}

function decisionOf({ source }: Run, { principal, approved, comment }: Word, at: Timestamp): Decision {
  const commit = source?.commit ?? "";
  return create(DecisionSchema, { by: principal.name, at, approved, comment: clipped(comment), commit });
}

function clipped(comment: string): string {
  return comment.slice(0, MAX_COMMENT).toWellFormed().trim();
}

const RANK: Readonly<Record<string, readonly Role[]>> = {
  "role:operator": [Role.OPERATOR, Role.ADMIN],
  "role:admin": [Role.ADMIN],
};

function isMeant(approver: string, { name, role, team = DEFAULT_TEAM }: Principal): boolean {
  if (approver.startsWith("role:")) return RANK[approver]?.includes(role) === true;
  return approver.startsWith("team:") ? approver.slice("team:".length) === team : approver === name;
}

/** Forges' names of people do not differ by case, and may be those of tokens: then it is taken to be the same person. */
function isSubmitter({ submittedBy, source }: Run, { name }: Principal): boolean {
  const sender = source?.sender ?? "";
  return name === submittedBy || (sender !== "" && sender.toLowerCase() === name.toLowerCase());
}

const DEFAULT_TIMEOUT_SECONDS = 24 * 3600;

/** When a blocked approval job fails for want of a word, in milliseconds since 1970, and what to say then. */
export function approvalDeadline(job: Job): { readonly atMs: number; readonly message: string } | undefined {
  const { spec, state, readyAt } = job;
  if (state !== JobState.BLOCKED || spec?.work.case !== "approval" || readyAt === undefined) return undefined;
  const seconds = spec.work.value.timeoutSeconds || DEFAULT_TIMEOUT_SECONDS;
  const missing = missingApprovals(job);
  const who =
    job.decidedBy === "" ? "nobody approved it" : `only ${job.decidedBy} approved it, ${missing} more had to,`;
  return { atMs: timestampMs(readyAt) + seconds * 1000, message: `${who} within ${seconds} s` };
}
