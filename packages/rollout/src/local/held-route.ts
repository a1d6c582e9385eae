import { create } from "@bufbuild/protobuf";
import { type LocalDecision, LocalDecisionKind, type Route, RouteSchema, RouteSplitSchema } from "@kedge/proto";
import { ALL_BASIS_POINTS, capacityBasisPoints } from "../capacity.ts";

/** Replicas of a deployment on this node, by revision. */
export interface LocalScale {
  readonly assigned: (revision: number) => number;
  readonly ready: (revision: number) => number;
}

/**
 * A route as it may be served by a node that has decided against its new revision and has not heard that the controller knows:
 * of the two the safer holds. The revision gets no more than the decision left it, or, going back, what the ready replicas of
 * the old one cannot carry here; less if the route says less. Pure.
 */
export function heldRoute(route: Route, decision: LocalDecision, scale: LocalScale): Route {
  const { revision, fromRevision, kind, heldBasisPoints } = decision;
  const share = shareOf(route, revision);
  const isBack = kind === LocalDecisionKind.ROLLBACK;
  const least = isBack ? ALL_BASIS_POINTS - carriedBy(route, decision, scale) : 0;
  const left = Math.min(share, Math.max(heldBasisPoints, least));
  const shares = new Map(route.splits.map((split) => [split.revision, split.basisPoints]));
  shares.set(revision, left);
  shares.set(fromRevision, (shares.get(fromRevision) ?? 0) + share - left);
  const splits = [...shares].filter(([, basisPoints]) => basisPoints > 0).sort(([a], [b]) => a - b);
  return create(RouteSchema, {
    ...route,
    ...(isBack ? withoutRevision(route, revision) : {}),
    splits: splits.map(([number, basisPoints]) => create(RouteSplitSchema, { revision: number, basisPoints })),
    stableRevision: route.stableRevision === revision ? fromRevision : route.stableRevision,
    reason: `held by this node: ${decision.reason}`,
  });
}

/** What the splits of a node's route give a revision. */
export function shareOf({ splits }: Pick<Route, "splits">, revision: number): number {
  return splits.find((split) => split.revision === revision)?.basisPoints ?? 0;
}

/** Tells whether a route was written in knowledge of a node's decision about a rollout: then it is to be followed. */
export function isMergedIn({ merged }: Pick<Route, "merged">, rolloutId: string, nodeId: string): boolean {
  return merged.some((decision) => decision.rolloutId === rolloutId && decision.nodeId === nodeId);
}

/** What the old revision's ready replicas carry of this node's traffic. */
function carriedBy({ judgement }: Route, { revision, fromRevision }: LocalDecision, scale: LocalScale): number {
  const exchanged = judgement?.exchanging ? scale.assigned(revision) : 0;
  return capacityBasisPoints({
    desired: scale.assigned(fromRevision) + exchanged,
    ready: scale.ready(fromRevision),
  });
}

function withoutRevision({ matches, mirrors, previewRevision }: Route, revision: number) {
  return {
    matches: matches.filter((match) => match.revision !== revision),
    mirrors: mirrors.filter((mirror) => mirror.revision !== revision),
    previewRevision: previewRevision === revision ? 0 : previewRevision,
  };
}
