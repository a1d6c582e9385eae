import { isKedgeError } from "@kedge/domain";
import { type ResolveContext, resolveJob } from "@kedge/pipeline";
import { type Job, type Run, SourceEvent } from "@kedge/proto";

/** What a run's late-bound expressions are looked up in. */
export function resolveContext(run: Run): ResolveContext {
  return {
    jobs: new Map(run.jobs.map((job) => [job.spec?.name ?? "", { outputs: job.outputs, metrics: job.metrics }])),
    run: runFields(run),
  };
}

function runFields({ id, pipeline, source }: Run): ResolveContext["run"] {
  const { commit = "", ref = "", branch = "", tag = "", sender = "", changed = [] } = source ?? {};
  return {
    ...{ id, pipeline, commit, ref, branch, tag, sender },
    event: EVENTS[source?.event ?? SourceEvent.UNSPECIFIED],
    pull_request: source?.pullRequest ? String(source.pullRequest) : "",
    base_branch: source?.baseBranch ?? "",
    changed: changed.join("\n"),
  };
}

const EVENTS: Readonly<Record<SourceEvent, string>> = {
  [SourceEvent.UNSPECIFIED]: "manual",
  [SourceEvent.MANUAL]: "manual",
  [SourceEvent.PUSH]: "push",
  [SourceEvent.TAG]: "tag",
  [SourceEvent.PULL_REQUEST]: "pull-request",
  [SourceEvent.CRON]: "cron",
  [SourceEvent.POLL]: "poll",
  [SourceEvent.CALL]: "call",
};

/** Kinds of jobs that refer to what earlier jobs reported. */
const RESOLVED: ReadonlySet<string> = new Set(["steps", "deploy", "call", "notify"]);

/** Why a job that is about to start cannot: an earlier job did not report what it refers to. */
export function resolveProblem(job: Job, context: () => ResolveContext): string | undefined {
  const kind = job.spec?.work.case;
  if (job.spec === undefined || kind === undefined || !RESOLVED.has(kind)) return undefined;
  try {
    resolveJob(job.spec, context());
    return undefined;
  } catch (error) {
    if (isKedgeError(error)) return error.message;
    throw error;
  }
}
