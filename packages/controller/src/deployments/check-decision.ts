import { clone } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type Assignment,
  type Deployment,
  type LocalDecision,
  LocalDecisionKind,
  LocalDecisionSchema,
  type Rollout,
  type Verdict,
  VerdictSchema,
} from "@kedge/proto";

/** What a node's decision is held against. */
export interface DecisionContext {
  readonly deployment: Deployment | undefined;
  /** The sender's. */
  readonly assignment: Assignment | undefined;
  /** Generation of the deployment's newest route. */
  readonly routeGeneration: bigint;
  readonly nowMs: number;
}

/** A decision as it may go on record, or why it may not. */
export type CheckedDecision =
  | { readonly kind: "accepted"; readonly decision: LocalDecision }
  | { readonly kind: "refused"; readonly reason: string };

const MAX_TEXT = 500;
const ALL_BASIS_POINTS = 10_000;
const KINDS: readonly LocalDecisionKind[] = [
  LocalDecisionKind.CONTINUE,
  LocalDecisionKind.PAUSE,
  LocalDecisionKind.ROLLBACK,
];

/**
 * Holds what a node says it decided against the documents: only a node that serves the deployment, or did when it was lost amid the
 * rollout, has a say, in rollouts
 * that there were, under routes that there were. Sizes and figures are bounded, and it was decided between the rollout's
 * beginning and now, whatever the node's clock says. That the sender is the node it speaks of is the bus's to check.
 */
export function checkDecision(decision: LocalDecision, context: DecisionContext): CheckedDecision {
  const { deployment, assignment, routeGeneration, nowMs } = context;
  const serves = assignment?.replicas.some((replica) => replica.deployment === decision.deployment) ?? false;
  const rollout = deployment && rolloutOf(deployment, decision.rolloutId);
  const wasLost = rollout?.lostNodes.includes(decision.nodeId) ?? false;
  if (!serves && !wasLost) return refused("the node does not serve the deployment");
  if (rollout?.toRevision !== decision.revision) return refused("there is no such rollout to that revision");
  if (rollout.returning) return refused("a return is not judged");
  if (!KINDS.includes(decision.kind)) return refused("it is no decision");
  if (decision.routeGeneration > routeGeneration) return refused("there is no such route yet");
  return { kind: "accepted", decision: bounded(decision, rollout, nowMs) };
}

function refused(reason: string): CheckedDecision {
  return { kind: "refused", reason };
}

function rolloutOf({ rollout, history }: Deployment, id: string): Rollout | undefined {
  return rollout?.id === id ? rollout : history.find((past) => past.id === id);
}

function bounded(decision: LocalDecision, rollout: Rollout, nowMs: number): LocalDecision {
  const { verdict, at } = decision;
  const startedMs = rollout.startedAt === undefined ? 0 : timestampMs(rollout.startedAt);
  const atMs = at === undefined ? nowMs : timestampMs(at);
  const copy = clone(LocalDecisionSchema, decision);
  copy.at = timestampFromMs(Math.min(nowMs, Math.max(startedMs, atMs)));
  copy.reason = decision.reason.slice(0, MAX_TEXT);
  copy.outcome = "";
  copy.fromRevision = rollout.fromRevision;
  copy.heldBasisPoints = Math.min(decision.heldBasisPoints, ALL_BASIS_POINTS);
  if (verdict !== undefined) copy.verdict = boundedVerdict(verdict);
  return copy;
}

function boundedVerdict(verdict: Verdict): Verdict {
  const copy = clone(VerdictSchema, verdict);
  copy.metric = verdict.metric.slice(0, MAX_TEXT);
  copy.reason = verdict.reason.slice(0, MAX_TEXT);
  if (!Number.isFinite(copy.effect)) copy.effect = 0;
  if (!Number.isFinite(copy.evidence)) copy.evidence = 0;
  return copy;
}
