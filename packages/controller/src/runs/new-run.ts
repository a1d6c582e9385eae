import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { JobSchema, JobState, type PipelineSpec, type Run, RunSchema, RunState, type Source } from "@kedge/proto";

/** What a new run is made of. */
export interface NewRunOptions {
  readonly id: string;
  readonly spec: PipelineSpec;
  readonly parameters: Readonly<Record<string, string>>;
  readonly source: Source | undefined;
  readonly submittedBy: string;
  readonly team: string;
  readonly idempotencyKey: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly nowMs: number;
}

const DEFAULT_RUN_TIMEOUT_SECONDS = 3600;

/** The first state of a run: every job waits. */
export function newRun(options: NewRunOptions): Run {
  return create(RunSchema, {
    id: options.id,
    pipeline: options.spec.name,
    parameters: { ...options.parameters },
    ...(options.source === undefined ? {} : { source: options.source }),
    state: RunState.PENDING,
    jobs: options.spec.jobs.map((spec) => create(JobSchema, { spec, state: JobState.WAITING })),
    createdAt: timestampFromMs(options.nowMs),
    submittedBy: options.submittedBy,
    team: options.team,
    idempotencyKey: options.idempotencyKey,
    labels: { ...options.labels },
    timeoutSeconds: options.spec.timeoutSeconds || DEFAULT_RUN_TIMEOUT_SECONDS,
  });
}
