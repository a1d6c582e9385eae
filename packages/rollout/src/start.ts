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
  /** Back to a revision that has served: traffic follows its ready replicas at once, without steps or judge. */
  readonly returning?: boolean;
  /** Why, when it is not simply that there is a new revision. */
  readonly reason?: string;
  /** Random letters and digits, at most 32, for strategies that split by user; default: the rollout's id, which is no secret. */
  readonly salt?: string;
  readonly runId?: string;
  readonly job?: string;
}

const DEFAULT_DEADLINE_SECONDS = 600;
const DEFAULT_ALPHA = 0.01;
const MAX_SALT = 32;

/** A new rollout in PREPARING, with strategy and analysis copied so that a later change of the spec leaves it alone. */
export function startRollout(options: StartRolloutOptions, now: number): Rollout {
  const { deployment, fromRevision, toRevision, strategy, analysis, returning = false } = options;
  const kind = strategy?.kind;
  const id = `${deployment}-${toRevision}-${options.attempt}`;
  const rollout = create(RolloutSchema, {
    ...{ id, fromRevision, toRevision, returning },
    startedAt: timestampFromMs(now),
    runId: options.runId ?? "",
    job: options.job ?? "",
    progressDeadlineSeconds: strategy?.progressDeadlineSeconds || DEFAULT_DEADLINE_SECONDS,
    alpha: analysis?.alpha || DEFAULT_ALPHA,
    unjudged: returning || (analysis?.disabled ?? false),
    salt: (options.salt ?? id).replaceAll(/[^A-Za-z0-9]/g, "").slice(-MAX_SALT),
    stepCanary: {},
    totalCanary: {},
    totalBaseline: {},
    ...(strategy === undefined ? {} : { strategy }),
    ...(analysis === undefined ? {} : { analysis }),
    ...(kind?.case === "canary" && !returning ? { canary: kind.value } : {}),
  });
  const way = fromRevision === 0 ? "first revision" : `${returning ? "back " : ""}from revision ${fromRevision}`;
  const why = options.reason === undefined ? "" : `: ${options.reason}`;
  move(rollout, { to: RolloutState.PREPARING, now, reason: `replicas of revision ${toRevision} start, ${way}${why}` });
  return rollout;
}
