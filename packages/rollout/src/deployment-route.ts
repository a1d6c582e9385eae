import { create } from "@bufbuild/protobuf";
import {
  type Deployment,
  LocalDecisionKind,
  type MergedDecision,
  MergedDecisionSchema,
  type Rollout,
  type Route,
} from "@kedge/proto";
import { desiredRoute, JUDGED_WINDOW_MS, type RoutePlan } from "./desired-route.ts";
import { nodeJudgement } from "./judgement.ts";
import type { ReplicaWorld } from "./observation.ts";

/** What a route tells nodes beside what to do with requests: what they need to go on alone, and what has been heard of them. */
export type RouteBrief = Pick<Route, "merged" | "judgement">;

const MAX_MERGED = 128;
/** A fleet up to this size tells sooner what it sees: evidence waits half a window on average, and a window costs the judge little. */
const SMALL_FLEET = 50;
const SMALL_FLEET_WINDOW_MS = 100;

/** The whole of the route that a rollout of a deployment wants now, which so many nodes serve. */
export function deploymentRoute(
  deployment: Pick<Deployment, "history">,
  rollout: Rollout,
  { replicas, waves, nodes }: ReplicaWorld & { readonly nodes: number },
): RoutePlan & RouteBrief {
  const judgement = nodeJudgement(rollout, nodes);
  const plan = desiredRoute(rollout, replicas, waves);
  const isSoon = plan.windowMs === JUDGED_WINDOW_MS && nodes <= SMALL_FLEET;
  return {
    ...plan,
    ...(isSoon ? { windowMs: SMALL_FLEET_WINDOW_MS } : {}),
    ...(judgement === undefined ? {} : { judgement }),
    merged: mergedDecisions([...deployment.history, rollout]),
  };
}

/** Those that their nodes hold on to until they are told. */
function mergedDecisions(rollouts: readonly Rollout[]): MergedDecision[] {
  const held = rollouts.flatMap(({ localDecisions }) =>
    localDecisions.filter(({ kind }) => kind >= LocalDecisionKind.PAUSE),
  );
  return held.slice(-MAX_MERGED).map(({ rolloutId, nodeId }) => create(MergedDecisionSchema, { rolloutId, nodeId }));
}
