import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  AnalysisAction,
  DeploymentSchema,
  LocalDecisionKind,
  RequestSource,
  type Rollout,
  RolloutSchema,
  RolloutState,
  type StrategySchema,
} from "@kedge/proto";
import { describe, expect, it } from "vitest";
import { deploymentRoute } from "./deployment-route.ts";
import { judgementOf, nodeJudgement } from "./judgement.ts";

const STEPS = { steps: [{ weightPercent: 20 }, { weightPercent: 100 }] };
const canary: MessageInitShape<typeof StrategySchema> = { kind: { case: "canary", value: STEPS } };

type RolloutInit = MessageInitShape<typeof RolloutSchema>;
type Changed = "fromRevision" | "state" | "pausedFrom" | "returning" | "unjudged" | "strategy" | "localDecisions";

function rolloutOf(more: Pick<RolloutInit, Changed> = {}): Rollout {
  return create(RolloutSchema, {
    ...{ id: "d-2-1", fromRevision: 1, toRevision: 2, state: RolloutState.PROGRESSING, alpha: 0.01 },
    stepStartedAt: {},
    strategy: canary,
    analysis: { action: AnalysisAction.PAUSE },
    ...more,
  } satisfies RolloutInit);
}

describe("how often nodes tell what they see", () => {
  const windowMs = (rollout: Rollout, nodes: number): number => {
    const replicas = new Map([1, 2].map((revision) => [revision, { desired: nodes, ready: nodes, failed: 0 }]));
    return deploymentRoute(create(DeploymentSchema), rollout, { replicas, nodes }).windowMs;
  };

  it("is sooner in small fleets, and seldom when nothing is judged", () => {
    const judged = rolloutOf();
    expect([windowMs(judged, 1), windowMs(judged, 50), windowMs(judged, 51)]).toEqual([100, 100, 250]);
    expect(windowMs(rolloutOf({ state: RolloutState.SUCCEEDED }), 1)).toBe(2000);
  });
});

describe("what a route tells nodes of judging", () => {
  it("is what they need to do it alone", () => {
    expect(nodeJudgement(rolloutOf(), 1)).toMatchObject({
      ...{ rolloutId: "d-2-1", fromRevision: 1, toRevision: 2, byUser: false, exchanging: false },
      analysis: { action: AnalysisAction.PAUSE },
    });
    const sticky = { key: { source: RequestSource.COOKIE, name: "user" } }.key;
    expect(nodeJudgement(rolloutOf({ strategy: { ...canary, sticky } }), 1)?.byUser).toBe(true);
    expect(nodeJudgement(rolloutOf({ strategy: { kind: { case: "rolling", value: {} } } }), 1)?.exchanging).toBe(true);
  });

  it("shares alpha among controller and nodes so that all their tests together keep to it", () => {
    const rollout = rolloutOf();
    for (const nodes of [1, 2, 3, 5, 64, 1000]) {
      const all = judgementOf(rollout).alpha + nodes * (nodeJudgement(rollout, nodes)?.alpha ?? 1);
      expect(all).toBeLessThanOrEqual(rollout.alpha * (1 + 1e-12));
    }
    expect(nodeJudgement(rollout, 5)?.alpha).toBe(nodeJudgement(rollout, 8)?.alpha);
  });

  it.each([
    ["a first revision", { fromRevision: 0 }],
    ["a return", { returning: true }],
    ["one that was overruled", { unjudged: true }],
    ["one that prepares", { state: RolloutState.PREPARING }],
    ["one that goes back", { state: RolloutState.ROLLING_BACK }],
    ["one that has ended", { state: RolloutState.SUCCEEDED }],
  ])("is nothing in %s", (_, more) => {
    expect(nodeJudgement(rolloutOf(more), 1)).toBeUndefined();
  });

  it("goes on through a pause, and while the last traffic moves", () => {
    const paused = { state: RolloutState.PAUSED, pausedFrom: RolloutState.PROGRESSING };
    expect(nodeJudgement(rolloutOf(paused), 1)).toBeDefined();
    expect(nodeJudgement(rolloutOf({ state: RolloutState.PROMOTING }), 1)).toBeDefined();
  });
});

it("a route names the decisions that nodes hold on to, of this rollout and of those before", () => {
  const decided = (rolloutId: string, nodeId: string, kind: LocalDecisionKind) => ({ rolloutId, nodeId, kind });
  const past = rolloutOf({ localDecisions: [decided("d-1-1", "n1", LocalDecisionKind.PAUSE)] });
  const rollout = rolloutOf({
    localDecisions: [
      decided("d-2-1", "n1", LocalDecisionKind.ROLLBACK),
      decided("d-2-1", "n2", LocalDecisionKind.CONTINUE),
    ],
  });
  const deployment = create(DeploymentSchema, { history: [past] });
  const { merged } = deploymentRoute(deployment, rollout, { replicas: new Map(), nodes: 2 });
  expect(merged.map(({ rolloutId, nodeId }) => `${rolloutId} ${nodeId}`)).toEqual(["d-1-1 n1", "d-2-1 n1"]);
});
