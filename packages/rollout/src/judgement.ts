import { create } from "@bufbuild/protobuf";
import { type Rollout, RolloutState, type RouteJudgement, RouteJudgementSchema } from "@kedge/proto";
import { isJudged } from "./desired-route.ts";
import { phaseOf, stepInForce } from "./share.ts";

/** Part of a rollout's alpha that nodes which are cut off have for their tests, all together. */
const NODES_PART = 0.1;

/** How the controller judges a rollout: with what nodes leave of its alpha. */
export function judgementOf(rollout: Rollout): RouteJudgement {
  return judgement(rollout, rollout.alpha * (1 - NODES_PART));
}

/**
 * How a node judges a rollout on its own windows while it is cut off; undefined while there is nothing to judge. Each of
 * so many nodes has an equal part of what is set aside of the rollout's alpha. By the union bound the chance that any of all
 * these tests ever goes against a revision that is not worse stays below alpha. The number of nodes is rounded up to a power
 * of two, so that one node more or less is no other route.
 */
export function nodeJudgement(rollout: Rollout, nodes: number): RouteJudgement | undefined {
  const isServing = stepInForce(rollout) !== undefined || phaseOf(rollout) === RolloutState.PROMOTING;
  if (!isServing || rollout.fromRevision === 0 || !isJudged(rollout)) return undefined;
  const tests = 2 ** Math.ceil(Math.log2(Math.max(1, nodes)));
  return judgement(rollout, (rollout.alpha * NODES_PART) / tests);
}

function judgement(rollout: Rollout, alpha: number): RouteJudgement {
  const { strategy, analysis, fromRevision, toRevision } = rollout;
  const { kind, sticky } = strategy ?? {};
  return create(RouteJudgementSchema, {
    ...{ rolloutId: rollout.id, fromRevision, toRevision, alpha },
    ...(analysis === undefined ? {} : { analysis }),
    byUser: sticky !== undefined || (kind?.case === "abTest" && kind.value.by.case === "hash"),
    exchanging: kind?.case === "rolling",
  });
}
