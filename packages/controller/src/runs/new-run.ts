import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { resolveText } from "@kedge/pipeline";
import {
  type Decision,
  JobSchema,
  JobState,
  type PipelineSpec,
  type Run,
  type RunConcurrency,
  RunConcurrencySchema,
  RunSchema,
  type Source,
} from "@kedge/proto";
import { enterBeginning } from "./beginning.ts";
import { resolveContext } from "./resolve-context.ts";

/** What a new run is made of. */
export interface NewRunOptions {
  readonly id: string;
  readonly spec: PipelineSpec;
  readonly parameters: Readonly<Record<string, string>>;
  /** Names of those that are not shown; their values are kept elsewhere. */
  readonly secretParameters?: readonly string[];
  readonly source: Source | undefined;
  readonly submittedBy: string;
  readonly team: string;
  readonly idempotencyKey: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly nowMs: number;
  /** "<run>/<job>" that called it; absent: none. */
  readonly calledBy?: string;
  /** The word on the calling run, which holds for what it calls. */
  readonly decision?: Decision | undefined;
}

const DEFAULT_RUN_TIMEOUT_SECONDS = 3600;
const FORK_PREFIX = "fork/";

/** The first state of a run: every job waits, and so may the run. */
export function newRun(options: NewRunOptions): Run {
  const run = create(RunSchema, {
    id: options.id,
    pipeline: options.spec.name,
    parameters: { ...options.parameters },
    secretParameters: [...(options.secretParameters ?? [])],
    ...(options.source === undefined ? {} : { source: toldApart(options.source) }),
    jobs: options.spec.jobs.map((spec) => create(JobSchema, { spec, state: JobState.WAITING })),
    createdAt: timestampFromMs(options.nowMs),
    submittedBy: options.submittedBy,
    team: options.team,
    idempotencyKey: options.idempotencyKey,
    labels: { ...options.labels },
    timeoutSeconds: options.spec.timeoutSeconds || DEFAULT_RUN_TIMEOUT_SECONDS,
    calledBy: options.calledBy ?? "",
    ...(options.decision === undefined ? {} : { decision: options.decision }),
  });
  const concurrency = runConcurrency(options.spec, run);
  if (concurrency !== undefined) run.concurrency = concurrency;
  enterBeginning(run);
  return run;
}

/**
 * Names of a fork's branches are its owner's choice: called "main", one must not pass for the repository's own, neither in
 * conditions and concurrency groups nor in the scope of secrets, even once a person has let the commit in.
 */
function toldApart(source: Source): Source {
  if (!source.fork) return source;
  const told = (name: string): string => (name === "" || name.startsWith(FORK_PREFIX) ? name : FORK_PREFIX + name);
  return { ...source, branch: told(source.branch), tag: told(source.tag), ref: told(source.ref) };
}

/** The group that the run is in, its name filled in. */
function runConcurrency({ name, runConcurrency: asked }: PipelineSpec, run: Run): RunConcurrency | undefined {
  if (asked === undefined) return undefined;
  const group = resolveText(asked.group, ["runs", "group"], resolveContext(run));
  return create(RunConcurrencySchema, { ...asked, group: group || name });
}
