import { clone } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { isRolloutEnded } from "@kedge/domain";
import {
  type LocalDecision,
  LocalDecisionKind,
  LocalDecisionSchema,
  PauseCause,
  type Rollout,
  RolloutCause,
  RolloutState,
} from "@kedge/proto";
import { fleetHealth } from "./fleet.ts";
import type { RolloutObservation } from "./observation.ts";
import { watchUntil } from "./timing.ts";
import type { Failure } from "./transition.ts";

const MAX_DECISIONS = 64;
/** A controller that comes back hears from every node which judged alone; that most of them went on says little. */
const MAX_CONTINUED = 16;

/**
 * Puts decisions that nodes took on their own on a rollout's record, in place, each with what became of it: of the two
 * the safer holds. One a node, its safest. Repeating it changes nothing. Those about other rollouts are left out.
 *
 * @returns the decisions that are new on the record.
 */
export function mergeLocalDecisions(draft: Rollout, observation: RolloutObservation): LocalDecision[] {
  const added: LocalDecision[] = [];
  for (const decision of observation.localDecisions ?? []) {
    if (decision.rolloutId !== draft.id || decision.revision !== draft.toRevision) continue;
    const at = draft.localDecisions.findIndex((known) => known.nodeId === decision.nodeId);
    if ((draft.localDecisions[at]?.kind ?? LocalDecisionKind.UNSPECIFIED) >= decision.kind) continue;
    const merged = clone(LocalDecisionSchema, decision);
    merged.outcome = outcomeOf(draft, merged, observation);
    if (at < 0 && !makeRoom(draft, merged)) continue;
    draft.localDecisions.splice(at < 0 ? draft.localDecisions.length : at, at < 0 ? 0 : 1, merged);
    added.push(merged);
  }
  return added;
}

/** What local decisions ask of a rollout that is under way. */
export function localFailure(rollout: Rollout, observation: RolloutObservation): Failure | undefined {
  const first = rollout.localDecisions.find((decision) => decision.kind === LocalDecisionKind.ROLLBACK);
  if (first !== undefined && fleetHealth(rollout, observation).isTooMany) {
    return { cause: RolloutCause.LOCAL_DECISION, reason: saidBy(first) };
  }
  const paused = rollout.localDecisions.find((decision) => decision.kind === LocalDecisionKind.PAUSE);
  if (paused === undefined || rollout.unjudged) return undefined;
  return { cause: RolloutCause.LOCAL_DECISION, reason: saidBy(paused), pause: PauseCause.ANALYSIS };
}

/**
 * Why a promotion has to be taken back after a node's decision came in: it was taken before the promotion, which
 * therefore lacked its evidence, or while the promotion is watched. Undefined when it does not have to be.
 */
export function lateRollback(
  rollout: Rollout,
  decision: LocalDecision,
  observation: RolloutObservation,
): string | undefined {
  if (decision.kind !== LocalDecisionKind.ROLLBACK || rollout.state !== RolloutState.SUCCEEDED) return undefined;
  if (rollout.fromRevision === 0 || rollout.returning || !fleetHealth(rollout, observation).isTooMany) return undefined;
  const decidedMs = decision.at === undefined ? 0 : timestampMs(decision.at);
  const finishedMs = rollout.finishedAt === undefined ? 0 : timestampMs(rollout.finishedAt);
  return decidedMs <= Math.max(finishedMs, watchUntil(rollout) ?? 0) ? saidBy(decision) : undefined;
}

function saidBy({ nodeId, kind, reason }: LocalDecision): string {
  const did = kind === LocalDecisionKind.ROLLBACK ? "rolled back" : "paused";
  return `node ${nodeId} ${did} while it was cut off: ${reason}`;
}

/** Rollbacks matter most; something milder gives way to one. */
function makeRoom(draft: Rollout, decision: LocalDecision): boolean {
  const most = decision.kind === LocalDecisionKind.CONTINUE ? MAX_CONTINUED : MAX_DECISIONS;
  if (draft.localDecisions.length < most) return true;
  const milder = draft.localDecisions.findIndex((known) => known.kind < decision.kind);
  if (milder >= 0) draft.localDecisions.splice(milder, 1);
  return milder >= 0;
}

function outcomeOf(rollout: Rollout, decision: LocalDecision, observation: RolloutObservation): string {
  const state = RolloutState[rollout.state].toLowerCase().replaceAll("_", " ");
  const had = `the controller had it ${state}`;
  const wentBack = rollout.state === RolloutState.ROLLING_BACK || rollout.state === RolloutState.ROLLED_BACK;
  if (wentBack) return decision.kind === LocalDecisionKind.ROLLBACK ? `${had}: both agree` : `${had}, which holds`;
  if (decision.kind === LocalDecisionKind.CONTINUE) return `${had}, which holds`;
  if (isRolloutEnded(rollout.state)) {
    const back = lateRollback(rollout, decision, observation) !== undefined;
    return back
      ? `${had}; the node's decision holds: revision ${rollout.fromRevision} comes back`
      : `${had}; too late, or too few nodes, to change that`;
  }
  if (decision.kind === LocalDecisionKind.PAUSE) return `${had}; the node's decision holds`;
  const { failed, reached, isTooMany } = fleetHealth(rollout, observation);
  if (isTooMany) return `${had}; the node's decision holds for all`;
  return `${had}, which goes on: ${failed} of ${reached} nodes is within what the waves allow`;
}
