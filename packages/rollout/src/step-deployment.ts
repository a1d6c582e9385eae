import { clone, create } from "@bufbuild/protobuf";
import { isRolloutEnded } from "@kedge/domain";
import {
  type Deployment,
  NextRolloutSchema,
  RevisionState,
  type Rollout,
  RolloutCause,
  RolloutSchema,
} from "@kedge/proto";
import { lateRollback, mergeLocalDecisions } from "./local-decisions.ts";
import { type RolloutObservation, withoutEvidence } from "./observation.ts";
import { closeRollout, findRevision, hasActiveRollout, waitingRevision } from "./revisions.ts";
import { startRollout } from "./start.ts";
import { type RolloutStep, stepRollout } from "./step-rollout.ts";
import { warmUntil, watchUntil } from "./timing.ts";

/** An open incident that is laid at a revision's door. */
export interface Incident {
  readonly revision: number;
  /** For people. */
  readonly reason: string;
}

/** What a deployment's step sees: its rollout's observation, and what is wrong with what was promoted. */
export interface DeploymentObservation extends Omit<RolloutObservation, "supersededBy"> {
  readonly incident?: Incident;
}

/** What a deployment's step starts from. `now` is in milliseconds since 1970. */
export interface DeploymentStepInput {
  readonly deployment: Deployment;
  readonly now: number;
  readonly observation: DeploymentObservation;
  /** See `StartRolloutOptions.salt`; of use when a rollout begins. */
  readonly salt?: string;
}

/** What a deployment's step comes to. */
export interface DeploymentStep {
  /** A new object when anything changed, else the one given. */
  readonly deployment: Deployment;
  readonly changed: boolean;
  /** As in `RolloutStep`: store before acting. */
  readonly moved: boolean;
  readonly checkAfterMs?: number;
}

const MAX_HISTORY = 10;

/**
 * Moves a deployment on: begins the rollout that is due, steps the one under way, takes its end into the revisions, and
 * looks after what was promoted. Pure, and everything it knows is in the document, so it can be asked again after any
 * crash. Store the result, write `desiredRoute`, then let replicas follow `desiredScales`, in that order.
 */
export function stepDeployment(input: DeploymentStepInput): DeploymentStep {
  const { deployment, now, observation } = input;
  const draft = copyOf(deployment);
  let changed = recordLate(draft, observation, now);
  let begun = beginNext(draft, input);
  let step = begun ? undefined : stepActive(draft, observation, now);
  if (step?.moved && !hasActiveRollout(draft)) {
    changed = recordLate(draft, observation, now) || changed;
    begun = beginNext(draft, input);
  }
  changed ||= begun || (step?.changed ?? false);
  // What was seen so far is no evidence on a rollout that has only begun.
  if (begun) step = stepActive(draft, withoutEvidence(observation), now);
  const checkAfterMs = step?.checkAfterMs ?? afterCare(draft, now);
  return {
    deployment: changed ? draft : deployment,
    changed,
    moved: begun || (step?.moved ?? false),
    ...(checkAfterMs === undefined ? {} : { checkAfterMs }),
  };
}

/** As deep as a step writes; documents are large, and most steps change nothing. */
function copyOf(deployment: Deployment): Deployment {
  return { ...deployment, revisions: deployment.revisions.map((revision) => ({ ...revision })) };
}

function stepActive(draft: Deployment, observation: DeploymentObservation, now: number): RolloutStep | undefined {
  const rollout = draft.rollout;
  if (rollout === undefined || isRolloutEnded(rollout.state)) return undefined;
  const waiting = waitingRevision(draft)?.number;
  const seen: RolloutObservation = { ...observation, ...(waiting === undefined ? {} : { supersededBy: waiting }) };
  const step = stepRollout({ rollout, now, observation: seen });
  draft.rollout = step.rollout;
  if (isRolloutEnded(step.rollout.state)) closeRollout(draft, step.rollout);
  return step;
}

/** Begins the rollout that waits, in place, unless one is under way. Tells whether it did. */
function beginNext(draft: Deployment, { now, salt }: DeploymentStepInput): boolean {
  if (hasActiveRollout(draft)) return false;
  const wanted = waitingRevision(draft);
  const next = draft.nextRollout?.revision === wanted?.number ? draft.nextRollout : undefined;
  if (wanted === undefined || wanted.number === draft.stableRevision) return false;
  delete draft.nextRollout;
  if (draft.rollout) draft.history = [...draft.history, draft.rollout].slice(-MAX_HISTORY);
  const earlier = draft.history.filter((rollout) => rollout.toRevision === wanted.number);
  const job = Object.entries(draft.applied).find(([key]) => key.startsWith(`${wanted.runId}/`))?.[0];
  const returning = (next?.returning ?? false) && draft.stableRevision > 0;
  wanted.state = RevisionState.CANDIDATE;
  draft.rollout = startRollout(
    {
      deployment: draft.name,
      fromRevision: draft.stableRevision,
      toRevision: wanted.number,
      attempt: 1 + earlier.length,
      strategy: draft.spec?.strategy,
      analysis: draft.spec?.analysis,
      returning,
      runId: next === undefined ? wanted.runId : "",
      job: next !== undefined || wanted.runId === "" ? "" : (job?.split("/")[1] ?? ""),
      ...(next === undefined ? {} : { reason: next.reason }),
      ...(salt === undefined ? {} : { salt }),
    },
    now,
  );
  if (next !== undefined) draft.rollout.cause = next.cause;
  return true;
}

/**
 * Takes in what came after a rollout's end, in place: incidents while it is watched, and decisions of nodes that were
 * cut off. Tells whether anything changed.
 */
function recordLate(draft: Deployment, observation: DeploymentObservation, now: number): boolean {
  const { incident, localDecisions = [] } = observation;
  const known = draft.nextRollout;
  let recorded = false;
  if (localDecisions.length > 0) {
    const history = draft.history.map((past) => withDecisions(past, observation).rollout);
    recorded = history.some((past, i) => past !== draft.history[i]);
    draft.history = history;
  }
  if (draft.rollout === undefined || hasActiveRollout(draft)) return recorded;
  const { rollout, added } = withDecisions(draft.rollout, observation);
  draft.rollout = rollout;
  for (const decision of added) {
    const reason = lateRollback(rollout, decision, observation);
    if (reason !== undefined) bringBack(draft, rollout.fromRevision, { reason, cause: RolloutCause.LOCAL_DECISION });
  }
  if (incident?.revision === rollout.toRevision && now < (watchUntil(rollout) ?? 0)) {
    bringBack(draft, rollout.fromRevision, { reason: `incident: ${incident.reason}`, cause: RolloutCause.INCIDENT });
  }
  return recorded || added.length > 0 || draft.nextRollout !== known;
}

/** The same object when there is nothing new. */
function withDecisions(rollout: Rollout, observation: DeploymentObservation) {
  if (!observation.localDecisions?.some(({ rolloutId }) => rolloutId === rollout.id)) return { rollout, added: [] };
  const draft = clone(RolloutSchema, rollout);
  const added = mergeLocalDecisions(draft, observation);
  return { rollout: added.length > 0 ? draft : rollout, added };
}

/** A newer revision that waits already is the way out that a person has chosen. */
function bringBack(draft: Deployment, revision: number, why: { reason: string; cause: RolloutCause }): void {
  if (waitingRevision(draft) !== undefined || findRevision(draft, revision) === undefined) return;
  draft.nextRollout = create(NextRolloutSchema, { revision, returning: true, ...why });
}

function afterCare({ rollout }: Deployment, now: number): number | undefined {
  if (rollout === undefined) return undefined;
  const times = [warmUntil(rollout), watchUntil(rollout)];
  const ahead = times.filter((time): time is number => time !== undefined && time > now);
  return ahead.length === 0 ? undefined : Math.min(...ahead) - now;
}
