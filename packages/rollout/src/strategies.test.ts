import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  AnalysisAction,
  AnalysisSpecSchema,
  DeadlineAction,
  LocalDecisionKind,
  LocalDecisionSchema,
  MatchKind,
  PauseCause,
  RequestSource,
  type Rollout,
  RolloutCause,
  RolloutState,
  StrategySchema,
  VerdictKind,
  VerdictSchema,
} from "@kedge/proto";
import { expect, test } from "vitest";
import { desiredRoute } from "./desired-route.ts";
import { desiredScales } from "./desired-scales.ts";
import { rolloutObstacle } from "./find-failure.ts";
import type { ReplicaCounts, RolloutObservation, WaveView } from "./observation.ts";
import { abortRollout, promoteRollout, resumeRollout } from "./requests.ts";
import { startRollout } from "./start.ts";
import { stepRollout } from "./step-rollout.ts";

const START = 1_700_000_000_000;

const counts = (ready: number, failed = 0): ReplicaCounts => ({ desired: 4, ready, failed });
const both = (old: number, fresh: number) =>
  new Map([
    [1, counts(old)],
    [2, counts(fresh)],
  ]);
const verdictOf = (kind: VerdictKind) => create(VerdictSchema, { kind, reason: "1.4 times the errors" });

/** A rollout from revision 1 to 2 in a world that does what it is told. */
class World {
  now = START;
  replicas: RolloutObservation["replicas"] = both(4, 4);
  extra: Partial<RolloutObservation> = {};
  rollout: Rollout;

  constructor(
    strategy: MessageInitShape<typeof StrategySchema>,
    analysis: MessageInitShape<typeof AnalysisSpecSchema> = {},
  ) {
    const options = { deployment: "d", fromRevision: 1, toRevision: 2, attempt: 1, salt: "s4lt" };
    const specs = { strategy: create(StrategySchema, strategy), analysis: create(AnalysisSpecSchema, analysis) };
    this.rollout = startRollout({ ...options, ...specs }, START);
  }

  get route() {
    return desiredRoute(this.rollout, this.replicas, this.extra.waves);
  }

  get reasons(): string {
    return this.rollout.transitions.map(({ reason }) => reason).join("\n");
  }

  step(afterSeconds = 0, extra: Partial<RolloutObservation> = {}): RolloutState {
    this.now += afterSeconds * 1000;
    const observation = { replicas: this.replicas, routeInForce: this.route, ...this.extra, ...extra };
    this.rollout = stepRollout({ rollout: this.rollout, now: this.now, observation }).rollout;
    return this.rollout.state;
  }
}

test("blue-green: preview, then a person's word, then everything at once", () => {
  const world = new World({ kind: { case: "blueGreen", value: { previewSeconds: 60, manual: true } } });
  world.replicas = both(4, 3);
  expect(world.step()).toBe(RolloutState.PREPARING);
  world.replicas = both(4, 4);
  world.step();
  expect(world.route).toMatchObject({ previewRevision: 2, splits: [{ revision: 1, basisPoints: 10_000 }] });
  world.step(61);
  expect(world.step(100_000)).toBe(RolloutState.PROGRESSING);
  expect(world.reasons).toContain("waits to be promoted by a person");
  world.rollout = promoteRollout(world.rollout);
  world.step();
  expect(world.rollout.state).toBe(RolloutState.PROMOTING);
  expect(world.route).toMatchObject({ previewRevision: 0, splits: [{ revision: 2, basisPoints: 10_000 }] });
});

test("a manual step that has waited long is not given up because a replica is away for a moment", () => {
  const world = new World({ kind: { case: "blueGreen", value: { manual: true } } });
  world.step();
  world.step(50_000);
  world.replicas = both(4, 3);
  expect(world.step()).toBe(RolloutState.PROGRESSING);
  world.rollout = promoteRollout(world.rollout);
  expect(world.step()).toBe(RolloutState.PROGRESSING);
  expect(world.step(601)).toBe(RolloutState.ROLLING_BACK);
});

test("the old replicas are kept for the scale-down delay", () => {
  const world = new World({ kind: { case: "allAtOnce", value: {} }, scaleDownDelaySeconds: 600 });
  world.step();
  world.step();
  expect(world.step(11)).toBe(RolloutState.SUCCEEDED);
  expect(desiredScales(world.rollout, world.now + 599_000).map(({ revision }) => revision)).toEqual([1, 2]);
  expect(desiredScales(world.rollout, world.now + 600_000)).toEqual([{ revision: 2 }]);
  expect(desiredScales(world.rollout)).toEqual([{ revision: 2 }]);
});

test("rolling: replicas are exchanged within surge, traffic follows those that are ready, and all of it goes back", () => {
  const world = new World({ kind: { case: "rolling", value: {} } });
  const targets = () => [world.rollout.rolling?.oldTarget, world.rollout.rolling?.newTarget];
  const seen = [];
  for (let fresh = 0; fresh <= 3; fresh++) {
    world.replicas = both(4 - fresh, fresh);
    world.step(1);
    seen.push([...targets(), world.route.splits.find((split) => split.revision === 2)?.basisPoints ?? 0]);
  }
  expect(seen).toEqual([
    [4, 1, 0],
    [3, 2, 2500],
    [2, 3, 5000],
    [1, 4, 7500],
  ]);
  world.rollout = abortRollout(world.rollout, world.now);
  world.replicas = both(1, 4);
  world.step();
  expect(targets()).toEqual([2, 3]);
  for (let old = 2; old <= 4; old++) {
    world.replicas = both(old, 5 - old);
    world.step(1);
  }
  expect(world.step()).toBe(RolloutState.ROLLED_BACK);
  expect(world.route.splits).toMatchObject([{ revision: 1, basisPoints: 10_000 }]);
});

test("rolling: a broken old replica cannot stop it, and a stuck one runs into the deadline", () => {
  const world = new World({
    kind: {
      case: "rolling",
      value: {
        maxSurge: { value: { case: "count", value: 0 } },
        maxUnavailable: { value: { case: "count", value: 1 } },
      },
    },
  });
  world.replicas = both(3, 0);
  world.step();
  expect(world.rollout.rolling).toMatchObject({ oldTarget: 3, newTarget: 1 });
  expect(world.step(599)).toBe(RolloutState.PROGRESSING);
  expect(world.step(1)).toBe(RolloutState.ROLLED_BACK);
  expect(world.reasons).toContain("0 of 4 replicas are exchanged");
});

const STEPS = { steps: [{ weightPercent: 20 }] };
const WAVES = {
  ...{ ...STEPS, maxFailedPercent: 20 },
  waves: [{ name: "edge-eu", nodeSelector: { site: "eu" } }, { name: "rest" }],
};
const wave = (nodes: number, fresh: number, failedNodes: string[] = []): WaveView => ({
  ...{ nodes, failedNodes },
  replicas: new Map([
    [1, { desired: nodes, ready: nodes, failed: 0 }],
    [2, { desired: nodes, ready: fresh, failed: failedNodes.length }],
  ]),
});

test("waves: edge-eu goes through all steps before the rest has any traffic or replica", () => {
  const world = new World({ kind: { case: "canary", value: WAVES } });
  world.extra = { waves: [wave(5, 5), wave(20, 0)] };
  expect(desiredScales(world.rollout)).toEqual([{ revision: 1 }, { revision: 2, waves: 1 }]);
  world.step();
  expect(world.reasons).toContain("20 % of wave edge-eu on 5 of 5 ready replicas");
  world.step();
  const [first] = world.route.waves;
  expect(first).toMatchObject({ nodeSelector: { site: "eu" }, splits: [{ revision: 2, basisPoints: 10_000 }] });
  expect(world.route.splits).toMatchObject([{ revision: 1, basisPoints: 10_000 }]);
  world.step();
  expect(world.route.splits).toMatchObject([{ revision: 1, basisPoints: 10_000 }]);
  expect(desiredScales(world.rollout)).toEqual([{ revision: 1 }, { revision: 2 }]);
  world.extra = { waves: [wave(5, 5), wave(20, 20)] };
  for (let i = 0; i < 4; i++) world.step();
  expect(world.step(11)).toBe(RolloutState.SUCCEEDED);
  expect(world.route.waves).toEqual([]);
});

test("waves: nodes may fail up to the rate among those reached, and are not waited for", () => {
  const world = new World({ kind: { case: "canary", value: WAVES } });
  world.extra = { waves: [wave(5, 4, ["n1"]), wave(20, 20)] };
  for (let i = 0; i < 6; i++) world.step(11);
  expect(world.rollout.state).toBe(RolloutState.SUCCEEDED);

  const worse = new World({ kind: { case: "canary", value: WAVES } });
  worse.extra = { waves: [wave(5, 3, ["n1", "n2"]), wave(20, 20)] };
  worse.step();
  expect(worse.rollout.cause).toBe(RolloutCause.FLEET_FAILURES);
  expect(worse.reasons).toContain("failed on 2 of 5 nodes, 20 % may");
});

test("A/B by header: no share of the split, a conclusion by evidence, and never a promotion by itself", () => {
  const match = { key: { source: RequestSource.HEADER, name: "x-group" }, kind: MatchKind.EXACT, values: ["beta"] };
  const world = new World({
    kind: { case: "abTest", value: { by: { case: "match", value: match }, weightPercent: 50 } },
  });
  world.replicas = both(4, 2);
  world.step();
  expect(world.route).toMatchObject({ matches: [{ match, revision: 2 }], splits: [{ revision: 1 }], windowMs: 250 });
  world.replicas = both(4, 1);
  expect(world.route.matches).toEqual([]);
  world.replicas = both(4, 4);
  world.step(3600, { verdict: verdictOf(VerdictKind.PASS) });
  expect(world.reasons).toContain("is over (1.4 times the errors) and waits to be promoted by a person");
  expect(world.step(1_000_000)).toBe(RolloutState.PROGRESSING);
  world.rollout = promoteRollout(world.rollout);
  world.step();
  expect(world.rollout.state).toBe(RolloutState.PROMOTING);
  expect(world.route.matches).toEqual([]);
});

test("A/B by hash: users stay on their side, and without evidence it is over after its run", () => {
  const hash = { source: RequestSource.COOKIE, name: "uid" };
  const value = { by: { case: "hash" as const, value: hash }, weightPercent: 30, runSeconds: 600 };
  const world = new World({ kind: { case: "abTest", value } });
  world.step();
  expect(world.route).toMatchObject({ sticky: { key: hash, salt: "s4lt" } });
  expect(world.route.splits).toMatchObject([{ basisPoints: 7000 }, { revision: 2, basisPoints: 3000 }]);
  world.step(601);
  expect(world.reasons).toContain("is over (nothing is proven)");
});

test("shadow: only copies go to the new revision, as many as it carries, and the comparison decides", () => {
  const value = { mirrorPercent: 50, runSeconds: 60, minCompared: 100, maxDifferingBasisPoints: 100, promote: true };
  const world = new World({ kind: { case: "shadow", value } });
  world.replicas = both(4, 2);
  world.step();
  expect(world.route).toMatchObject({ mirrors: [{ revision: 2, basisPoints: 5000 }], splits: [{ revision: 1 }] });
  world.step(61, { comparisons: { compared: 99n, differing: 0n } });
  expect(world.rollout.state).toBe(RolloutState.PROGRESSING);
  world.replicas = both(4, 4);
  world.step(1, { comparisons: { compared: 200n, differing: 2n } });
  expect(world.rollout.state).toBe(RolloutState.PROMOTING);

  const differs = new World({ kind: { case: "shadow", value } });
  differs.step();
  expect(differs.step(61, { comparisons: { compared: 200n, differing: 3n } })).toBe(RolloutState.ROLLING_BACK);
  expect(differs.rollout.cause).toBe(RolloutCause.COMPARISON);
  expect(differs.reasons).toContain("3 of 200 mirrored answers differ, 1 % may");
});

const canary = { case: "canary" as const, value: { steps: [{ weightPercent: 10, holdSeconds: 600 }] } };

test("an analysis that pauses holds the share until a person decides, and who resumes overrules it", () => {
  const world = new World({ kind: canary }, { action: AnalysisAction.PAUSE });
  world.step();
  world.extra = { verdict: verdictOf(VerdictKind.ROLLBACK) };
  expect(world.step()).toBe(RolloutState.PAUSED);
  expect(world.rollout.pauseCause).toBe(PauseCause.ANALYSIS);
  expect(world.route.splits).toMatchObject([{ basisPoints: 9000 }, { basisPoints: 1000 }]);
  expect(world.step(1_000_000)).toBe(RolloutState.PAUSED);
  world.rollout = resumeRollout(world.rollout, world.now, "resumed by eva");
  expect(world.step()).not.toBe(RolloutState.PAUSED);
  expect(world.reasons).toContain("resumed by eva, against the analysis");
});

test("a judge that sees nothing pauses a rollout until it sees again", () => {
  const world = new World({ kind: canary });
  world.step();
  expect(world.step(1, { metricsMissing: "gpu_ms has had no value for 60 s" })).toBe(RolloutState.PAUSED);
  expect(world.step(100_000, { metricsMissing: "gpu_ms" })).toBe(RolloutState.PAUSED);
  expect(world.step()).not.toBe(RolloutState.PAUSED);
  expect(world.reasons).toContain("gpu_ms has had no value");
});

test("what a rollout waits for is said in every state", () => {
  const world = new World({ kind: canary });
  const says = () => {
    const observation = { replicas: world.replicas, routeInForce: world.route };
    return rolloutObstacle(world.rollout, observation, world.now);
  };
  world.replicas = both(4, 0);
  world.step();
  expect(says()).toBe("0 of 4 replicas of revision 2 are ready, 10 % wanted on them");
  world.replicas = both(4, 4);
  world.step();
  expect(says()).toBe("held at 10 % for 600 s");
  world.rollout = promoteRollout(world.rollout);
  world.step();
  expect(says()).toBe("requests under way end");
  world.rollout = abortRollout(world.rollout, world.now);
  expect(says()).toBe("4 of 4 replicas of revision 1 are ready to take the traffic back");
  world.step();
  expect(says()).toBeUndefined();
});

test("evidence on another rollout is ignored", () => {
  const world = new World({ kind: canary });
  world.step();
  world.step(1, { rolloutId: "d-1-1", verdict: verdictOf(VerdictKind.ROLLBACK), metricsMissing: "x" });
  expect(world.rollout.state).toBe(RolloutState.PROGRESSING);
});

test("a step without analysis takes no verdict", () => {
  const steps = [{ weightPercent: 10, holdSeconds: 600, unjudged: true }];
  const world = new World({ kind: { case: "canary", value: { steps } } });
  world.step();
  expect(world.route.windowMs).toBe(2000);
  expect(world.step(1, { verdict: verdictOf(VerdictKind.ROLLBACK) })).toBe(RolloutState.PROGRESSING);
});

test("a pass ends holds and is waited for where the analysis asks for it", () => {
  const early = new World({ kind: canary }, { passEndsHolds: true });
  early.step();
  early.step(1, { verdict: verdictOf(VerdictKind.PASS) });
  expect(early.rollout.state).toBe(RolloutState.PROMOTING);

  const strict = new World({ kind: canary }, { passRequired: true });
  strict.step();
  expect(strict.step(601)).toBe(RolloutState.PROGRESSING);
  expect(strict.step(600)).toBe(RolloutState.ROLLING_BACK);
  expect(strict.reasons).toContain("the judge has not passed it yet");
});

test("the deadline pauses where the strategy asks for it", () => {
  const world = new World({ kind: canary, deadlineAction: DeadlineAction.PAUSE });
  world.replicas = both(4, 0);
  world.step();
  expect(world.step(601)).toBe(RolloutState.PAUSED);
  expect(world.rollout.pauseCause).toBe(PauseCause.DEADLINE);
  world.rollout = resumeRollout(world.rollout, world.now);
  world.replicas = both(4, 4);
  expect(world.step()).toBe(RolloutState.PROGRESSING);
});

const decide = (nodeId: string, kind: LocalDecisionKind) =>
  create(LocalDecisionSchema, {
    ...{ nodeId, kind, rolloutId: "d-2-1", revision: 2, reason: "errors", at: timestampFromMs(START) },
  });

test("a node that rolled back while it was cut off takes all back with it, and both decisions are on record", () => {
  const world = new World({ kind: canary });
  world.step();
  world.extra = { localDecisions: [decide("n1", LocalDecisionKind.ROLLBACK)] };
  expect(world.step()).toBe(RolloutState.ROLLING_BACK);
  expect(world.rollout.cause).toBe(RolloutCause.LOCAL_DECISION);
  expect(world.rollout.localDecisions).toMatchObject([
    { nodeId: "n1", outcome: "the controller had it progressing; the node's decision holds for all" },
  ]);
  world.step();
  expect(world.rollout.localDecisions).toHaveLength(1);
});

test("of a node's decisions the safest counts, one that goes on changes nothing, and one that pauses pauses", () => {
  const world = new World({ kind: canary });
  world.step();
  world.step(1, { localDecisions: [decide("n1", LocalDecisionKind.CONTINUE)] });
  expect(world.rollout.state).toBe(RolloutState.PROGRESSING);
  world.step(1, { localDecisions: [decide("n1", LocalDecisionKind.PAUSE), decide("n1", LocalDecisionKind.CONTINUE)] });
  expect(world.rollout.state).toBe(RolloutState.PAUSED);
  expect(world.rollout.localDecisions).toMatchObject([{ kind: LocalDecisionKind.PAUSE }]);
});

test("waves: a node that rolled back on its own counts as one that failed", () => {
  const world = new World({ kind: { case: "canary", value: WAVES } });
  const localDecisions = [decide("n1", LocalDecisionKind.ROLLBACK)];
  world.extra = { waves: [wave(5, 5), wave(20, 20)], localDecisions };
  world.step();
  expect(world.rollout.localDecisions[0]?.outcome).toContain("1 of 5 nodes is within what the waves allow");
  expect(world.rollout.state).toBe(RolloutState.PROGRESSING);
  world.extra = { ...world.extra, localDecisions: [...localDecisions, decide("n2", LocalDecisionKind.ROLLBACK)] };
  expect(world.step()).toBe(RolloutState.ROLLING_BACK);
});
