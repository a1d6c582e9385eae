import { toBinary } from "@bufbuild/protobuf";
import type { Bus } from "@kedge/bus";
import { isRunEnded, KedgeError } from "@kedge/domain";
import type { Clock } from "@kedge/kernel";
import { type RetryRunRequest, type Run, RunSchema, type RunService, RunState, type Source } from "@kedge/proto";
import type { Principal, ServiceImplementation } from "@kedge/rpc";
import type { EventRecorder } from "../events/recorder.ts";
import type { ModelRegistry } from "../models/registry.ts";
import { editRun } from "../runs/edit-run.ts";
import { withPlannedGates } from "../runs/gate.ts";
import type { RunReconciler } from "../runs/run-reconciler.ts";
import { withCurrentReasons } from "../scheduling/explain-job.ts";
import type { Scheduling } from "../scheduling/scheduling.ts";
import { assertParametersKept } from "../secrets/run-secrets.ts";
import type { SecretVault } from "../secrets/secret-vault.ts";
import type { Stores } from "../stores.ts";
import { addJobs } from "./add-jobs.ts";
import { listApprovals } from "./approval-inbox.ts";
import { changes } from "./change-stream.ts";
import { lookUp } from "./lookup.ts";
import { pageOf } from "./paging.ts";
import { rerun } from "./rerun.ts";
import { retryRun } from "./retry-run.ts";
import { createRunDecisions } from "./run-decisions.ts";
import { streamRunLogs } from "./run-logs.ts";
import type { RunSubmitter } from "./run-submitter.ts";

/** What the run service works with. */
export interface RunServiceOptions {
  readonly bus: Bus;
  readonly stores: Stores;
  readonly runs: RunReconciler;
  readonly submitter: RunSubmitter;
  readonly models: Pick<ModelRegistry, "metric">;
  readonly scheduling: Scheduling;
  readonly clock: Clock;
  readonly vault: SecretVault;
  readonly events: EventRecorder;
  /** Queues a run to be looked at. */
  readonly touch: (runId: string) => void;
}

/** RunService over the store: submit, look, follow, cancel, retry, decide. */
export function createRunService(options: RunServiceOptions): ServiceImplementation<typeof RunService> {
  const { bus, stores, scheduling, submitter, models, clock, events } = options;

  const retryFrom = async ({ runId, from, jobs }: RetryRunRequest, principal: Principal): Promise<Run> => {
    if (jobs.length > 0) throw new KedgeError("INVALID_FIELD", "jobs and from exclude each other", { field: "jobs" });
    const run = findRun(stores, runId).value;
    for (const name of from) findJob(run, name);
    const created = await rerun(options, { run, from, principal });
    options.touch(created.id);
    return created;
  };

  const edit = async (runId: string, change: (run: Run) => void): Promise<Run> => {
    const run = await editRun(stores.runs, findRun(stores, runId).value.id, change);
    options.touch(run.id);
    return run;
  };

  const shown = (run: Run): Run =>
    withPlannedGates(withCurrentReasons(run, scheduling), (...asked) => models.metric(...asked));

  return {
    submitRun: async (request, context) => {
      const source = submittedSource(request.source);
      return { run: await submitter.submit({ ...request, ...(source && { source }) }, context.principal) };
    },
    getRun: async (request) => ({ run: shown(findRun(stores, request.runId).value) }),
    listRuns: async (request) => {
      const runs = [...stores.runs.entries()].map(([, { value }]) => value);
      const wanted = runs.filter(
        (run) =>
          (request.pipeline === "" || run.pipeline === request.pipeline) &&
          (request.state === RunState.UNSPECIFIED || run.state === request.state),
      );
      const page = pageOf(
        wanted.toSorted((a, b) => (a.id < b.id ? 1 : -1)),
        (run) => run.id,
        { ...request, descending: true, bytesOf: (run) => toBinary(RunSchema, run).length },
      );
      return { runs: page.items, nextPageToken: page.nextPageToken };
    },
    watchRun: async function* (request, context) {
      const { id } = findRun(stores, request.runId).value;
      const subscribe = (notify: () => void) => stores.runs.onChange((key) => key === id && notify());
      for await (const _ of changes(subscribe, context.signal)) {
        const run = stores.runs.get(id)?.value;
        if (run === undefined) return;
        yield { run: shown(run) };
        if (isRunEnded(run.state)) return;
      }
    },
    streamLogs: (request, context) => {
      const run = findRun(stores, request.runId).value;
      if (request.job !== "") findJob(run, request.job);
      return streamRunLogs({ bus, stores, run, request }, context.signal);
    },
    cancelRun: async (request, context) => ({
      run: await edit(request.runId, (run) => {
        if (isRunEnded(run.state)) throw new KedgeError("RUN_FINISHED", `run ${run.id} has ended`, { field: "run_id" });
        run.cancelRequested = true;
        run.reason = request.reason || `cancelled by ${context.principal.name}`;
      }),
    }),
    retryRun: async (request, context) => {
      if (request.from.length > 0) return { run: await retryFrom(request, context.principal) };
      const run = await edit(request.runId, (run) => {
        for (const name of request.jobs) findJob(run, name);
        assertParametersKept(stores, run);
        retryRun(run, request.jobs, clock.now());
      });
      return { run };
    },
    ...createRunDecisions({ edit, clock, events }),
    addJobs: async (request, context) => ({
      jobs: await addJobs({ stores, edit, events }, request, context.principal),
    }),
    listApprovals: async (request, context) => listApprovals(stores, request, context.principal),
  };
}

const FULL_COMMIT = /^[0-9a-f]{40}([0-9a-f]{24})?$/;

/**
 * The source as a caller may give it: who sent a commit, and whether that person is trusted, is known of forges only. A
 * caller may say that it comes from a fork, which takes a person's word for just that commit.
 *
 * @throws KedgeError INVALID_FIELD for a fork without a full commit id.
 */
function submittedSource(source: Source | undefined): Source | undefined {
  if (source === undefined) return undefined;
  if (source.fork && !FULL_COMMIT.test(source.commit)) {
    throw new KedgeError("INVALID_FIELD", "source.commit must be a full commit id: it is what a person lets begin", {
      field: "source.commit",
    });
  }
  return { ...source, sender: "", trustedSender: false };
}

/** A run by id or by a prefix that names one run. @throws KedgeError RUN_NOT_FOUND. */
export function findRun(stores: Stores, idOrPrefix: string): { value: Run; revision: number } {
  const exact = stores.runs.get(idOrPrefix);
  if (exact !== undefined) return exact;
  const matches = idOrPrefix.length < 4 ? [] : [...stores.runs.entries()].filter(([id]) => id.startsWith(idOrPrefix));
  const [only] = matches;
  if (only !== undefined && matches.length === 1) return only[1];
  if (matches.length > 1) {
    throw new KedgeError("RUN_NOT_FOUND", `${matches.length} runs begin with ${idOrPrefix}`, {
      field: "run_id",
      hint: "give more of the id",
    });
  }
  return lookUp(stores.runs, idOrPrefix, { reason: "RUN_NOT_FOUND", noun: "run", field: "run_id" });
}

/** A job by name. @throws KedgeError JOB_NOT_FOUND. */
export function findJob(run: Run, name: string): Run["jobs"][number] {
  const job = run.jobs.find((candidate) => candidate.spec?.name === name);
  if (job !== undefined) return job;
  const names = run.jobs.map((candidate) => candidate.spec?.name).join(", ");
  throw new KedgeError("JOB_NOT_FOUND", `run ${run.id} has no job ${JSON.stringify(name)}`, {
    field: "job",
    hint: `its jobs are ${names}`,
  });
}
