import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { KedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import { JobState, type Run, type RunService, RunState } from "@kedge/proto";
import type { ServiceImplementation } from "@kedge/rpc";
import type { EventRecorder } from "../events/recorder.ts";
import { decideJob, decideRun, decisionObstacle, decisionText, type Word } from "../runs/approvals.ts";
import { findJob } from "./run-service.ts";

/** What decisions are taken with. */
export interface RunDecisionsOptions {
  /** Changes a run as it is by then; what `change` throws is thrown. */
  readonly edit: (runId: string, change: (run: Run) => void) => Promise<Run>;
  readonly events: Pick<EventRecorder, "record">;
  readonly clock: Clock;
}

type Decisions = Pick<
  ServiceImplementation<typeof RunService>,
  "approveJob" | "rejectJob" | "approveRun" | "rejectRun"
>;

interface AboutRun {
  readonly runId: string;
  readonly commit: string;
}

/** People's words on approval jobs, and on runs from outside: each holds for one commit. */
export function createRunDecisions({ edit, events, clock }: RunDecisionsOptions): Decisions {
  const onJob = async ({ runId, commit, job: name }: AboutRun & { readonly job: string }, word: Word) => {
    const run = await edit(runId, (draft) => {
      assertCommit(draft, commit);
      const job = findJob(draft, name);
      if (job.state !== JobState.BLOCKED)
        throw new KedgeError("JOB_NOT_BLOCKED", `job ${name} does not wait for an approval`, { field: "job" });
      const obstacle = decisionObstacle(draft, job, word);
      if (obstacle !== undefined)
        throw new KedgeError("PERMISSION_DENIED", `${word.principal.name} may not decide on ${name}: ${obstacle}`, {
          field: "job",
        });
      decideJob(draft, job, word, timestampFromMs(clock.now()));
    });
    return { run: recorded(run, word, name) };
  };
  const onRun = async ({ runId, commit }: AboutRun, word: Word) => {
    const run = await edit(runId, (draft) => {
      assertCommit(draft, commit);
      if (draft.state !== RunState.BLOCKED || draft.cancelRequested) throw notBlocked(draft);
      decideRun(draft, word, timestampFromMs(clock.now()));
    });
    return { run: recorded(run, word, "") };
  };
  const recorded = (run: Run, word: Word, job: string): Run => {
    const what = word.approved ? "approved" : "rejected";
    const fields = { job, by: word.principal.name, commit: run.source?.commit ?? "" };
    const message = [job, decisionText(what, word)].filter((text) => text !== "").join(" ");
    const reason = word.approved ? "Approved" : "Rejected";
    events.record({ kind: job === "" ? "run" : "job", name: run.id, reason, message, fields });
    return run;
  };
  return {
    approveJob: (request, { principal }) => onJob(request, { principal, approved: true, comment: request.comment }),
    rejectJob: (request, { principal }) => onJob(request, { principal, approved: false, comment: request.comment }),
    approveRun: (request, { principal }) => onRun(request, { principal, approved: true, comment: request.comment }),
    rejectRun: (request, { principal }) => onRun(request, { principal, approved: false, comment: request.comment }),
  };
}

function notBlocked({ id, jobs }: Run): KedgeError {
  const waiting = jobs.flatMap(({ state, spec }) => (state === JobState.BLOCKED ? (spec?.name ?? []) : []));
  return new KedgeError("RUN_NOT_BLOCKED", `run ${id} waits for nobody's word`, {
    field: "run_id",
    ...(waiting.length > 0 ? { hint: `its jobs that wait for one: ${waiting.join(", ")}` } : {}),
  });
}

function assertCommit({ id, source }: Run, expected: string): void {
  const commit = source?.commit ?? "";
  if (expected === "" || expected === commit) return;
  throw new KedgeError("COMMIT_MISMATCH", `run ${id} is of commit ${commit || "none"}, not ${expected.slice(0, 80)}`, {
    field: "commit",
    hint: "look at what it is about again: kedge approvals",
  });
}
