import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type AnalysisSpec, type Rollout, RolloutSchema, RolloutState, type Strategy } from "@kedge/proto";
import { move } from "./transition.ts";

/** Which way a new rollout goes. */
export interface StartRolloutOptions {
  readonly deployment: string;
  /** The stable revision; 0: there is none. */
  readonly fromRevision: number;
  readonly toRevision: number;
  /** Makes the id unique among rollouts to the same revision; from 1. */
  readonly attempt: number;
  /** Absent: all at once. */
  readonly strategy?: Strategy | undefined;
  readonly analysis?: AnalysisSpec | undefined;
  readonly runId?: string;
  readonly job?: string;
}

const DEFAULT_DEADLINE_SECONDS = 600;
const DEFAULT_ALPHA = 0.01;

/** A new rollout in PREPARING, with strategy and analysis copied so that a later change of the spec leaves it alone. */
export function startRollout(options: StartRolloutOptions, now: number): Rollout {
  const kind = options.strategy?.kind;
  const rollout = create(RolloutSchema, {
    id: `${options.deployment}-${options.toRevision}-${options.attempt}`,
    fromRevision: options.fromRevision,
    toRevision: options.toRevision,
    startedAt: timestampFromMs(now),
    runId: options.runId ?? "",
    job: options.job ?? "",
    progressDeadlineSeconds: options.strategy?.progressDeadlineSeconds || DEFAULT_DEADLINE_SECONDS,
    alpha: options.analysis?.alpha || DEFAULT_ALPHA,
    unjudged: options.analysis?.disabled ?? false,
    stepCanary: {},
    totalCanary: {},
    totalBaseline: {},
    ...(kind?.case === "canary" ? { canary: kind.value } : {}),
  });
  const way = options.fromRevision === 0 ? "first revision" : `from revision ${options.fromRevision}`;
  move(rollout, {
    to: RolloutState.PREPARING,
    now,
    reason: `replicas of revision ${options.toRevision} start, ${way}`,
  });
  return rollout;
}
