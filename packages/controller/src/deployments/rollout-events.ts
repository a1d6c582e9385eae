import { equals } from "@bufbuild/protobuf";
import {
  type Deployment,
  type LocalDecision,
  LocalDecisionKind,
  type Rollout,
  RolloutCause,
  RolloutState,
  type RolloutTransition,
  RolloutTransitionSchema,
} from "@kedge/proto";
import { describeDecision } from "@kedge/rollout/local";
import type { EventRecorder } from "../events/recorder.ts";
import type { EndedMove } from "./moves.ts";

const REASONS: Readonly<Record<RolloutState, string>> = {
  [RolloutState.UNSPECIFIED]: "Unknown",
  [RolloutState.PREPARING]: "Preparing",
  [RolloutState.PROGRESSING]: "Progressing",
  [RolloutState.PAUSED]: "Paused",
  [RolloutState.PROMOTING]: "Promoting",
  [RolloutState.SUCCEEDED]: "Promoted",
  [RolloutState.ROLLING_BACK]: "RollingBack",
  [RolloutState.ROLLED_BACK]: "RolledBack",
};

const WARNINGS: ReadonlySet<RolloutState> = new Set([RolloutState.ROLLING_BACK, RolloutState.ROLLED_BACK]);

/** Tells people of every transition that a deployment's rollouts made between two states of its document. */
export function recordRolloutEvents(events: EventRecorder, before: Deployment, after: Deployment): void {
  const told = new Map(rolloutsOf(before).map(({ id, transitions }) => [id, transitions]));
  for (const rollout of rolloutsOf(after)) {
    if (rollout.cause === RolloutCause.INCIDENT && rollout.returning && !told.has(rollout.id)) {
      const message = rollout.transitions[0]?.reason ?? "";
      events.record({ kind: "deployment", name: after.name, reason: "Incident", message, warning: true });
    }
    recordTransitions(events, after.name, rollout, told.get(rollout.id) ?? []);
  }
  recordDecisions(events, before, after);
}

/** Of every rollout that there is a record of: a decision may come long after its end. */
function recordDecisions(events: EventRecorder, before: Deployment, after: Deployment): void {
  const key = ({ rolloutId, nodeId, kind }: LocalDecision): string => `${rolloutId} ${nodeId} ${kind}`;
  const known = new Set(decisionsOf(before).map(key));
  for (const decision of decisionsOf(after)) {
    if (known.has(key(decision))) continue;
    const { rolloutId, nodeId, revision, kind } = decision;
    events.record({
      ...{ kind: "rollout", name: after.name, reason: "NodeDecided" },
      message: `revision ${revision}: ${describeDecision(decision)}`,
      warning: kind !== LocalDecisionKind.CONTINUE,
      fields: { rollout: rolloutId, node: nodeId },
    });
  }
}

function decisionsOf({ history, rollout }: Deployment): LocalDecision[] {
  return [...history, ...(rollout === undefined ? [] : [rollout])].flatMap(({ localDecisions }) => localDecisions);
}

/** The one under way or last ended, and the one before: one may end and the next begin in the same step. */
function rolloutsOf({ history, rollout }: Deployment): Rollout[] {
  return [...history, ...(rollout === undefined ? [] : [rollout])].slice(-2);
}

function recordTransitions(
  events: EventRecorder,
  name: string,
  rollout: Rollout,
  known: readonly RolloutTransition[],
): void {
  for (const step of newTransitions(known, rollout.transitions)) {
    events.record({
      kind: "rollout",
      name,
      reason: REASONS[step.to],
      message: `revision ${rollout.toRevision}: ${step.reason}`,
      warning: WARNINGS.has(step.to),
      fields: { rollout: rollout.id, weight: String(step.weightPercent) },
    });
  }
}

/** What was appended to a list whose oldest entries may have been dropped meanwhile. Times may repeat. */
function newTransitions(known: readonly RolloutTransition[], now: readonly RolloutTransition[]): RolloutTransition[] {
  for (let dropped = 0; dropped < known.length; dropped++) {
    const kept = known.slice(dropped);
    const isPrefix = kept.every((step, i) => {
      const same = now[i];
      return same !== undefined && equals(RolloutTransitionSchema, step, same);
    });
    if (isPrefix) return now.slice(kept.length);
  }
  return [...now];
}

/** Tells people which replicas begin to move off nodes that are not well; rebalances are told by who asks for them. */
export function recordEvacuations(
  events: Pick<EventRecorder, "record">,
  before: Deployment,
  { name, moves }: Deployment,
): void {
  const known = new Set(before.moves.map(({ replicaId }) => replicaId));
  for (const { replicaId, toNodeId, reason } of moves) {
    if (reason === "" || known.has(replicaId)) continue;
    const message = `replica ${replicaId} goes to ${toNodeId}: ${reason}`;
    events.record({ kind: "deployment", name, reason: "ReplicaMoving", message, warning: true });
  }
}

/** Tells people how moves of replicas ended. */
export function recordMoves(events: Pick<EventRecorder, "record">, name: string, ended: readonly EndedMove[]): void {
  for (const { move, givenUp } of ended) {
    const what = `replica ${move.replicaId} from ${move.fromNodeId} to ${move.toNodeId}`;
    const message = givenUp === undefined ? what : `${what}: ${givenUp}`;
    const reason = givenUp === undefined ? "ReplicaMoved" : "MoveGivenUp";
    events.record({ kind: "deployment", name, reason, message, warning: givenUp !== undefined });
  }
}
