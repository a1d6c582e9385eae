import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  AnalysisSpecSchema,
  MatchKind,
  PauseCause,
  RequestSource,
  type Rollout,
  type RolloutOutlook,
  RolloutState,
  StrategySchema,
} from "@kedge/proto";
import { expect, test } from "vitest";
import { desiredRoute } from "./desired-route.ts";
import type { RolloutObservation } from "./observation.ts";
import { rolloutOutlook } from "./outlook.ts";
import { abortRollout, pauseRollout, promoteRollout } from "./requests.ts";
import { startRollout } from "./start.ts";
import { stepRollout } from "./step-rollout.ts";

const START = 1_700_000_000_000;
const KEY = { source: RequestSource.HEADER, name: "tier" };

type StrategyInit = MessageInitShape<typeof StrategySchema>;

class World {
  now = START;
  ready = 4;
  rollout: Rollout;

  constructor(strategy: StrategyInit, analysis: MessageInitShape<typeof AnalysisSpecSchema> = {}, fromRevision = 1) {
    const specs = { strategy: create(StrategySchema, strategy), analysis: create(AnalysisSpecSchema, analysis) };
    this.rollout = startRollout({ deployment: "d", fromRevision, toRevision: 2, attempt: 1, ...specs }, START);
  }

  get observation(): RolloutObservation {
    const replicas = new Map([
      [1, { desired: 4, ready: 4, failed: 0 }],
      [2, { desired: 4, ready: this.ready, failed: 0 }],
    ]);
    return { replicas, routeInForce: desiredRoute(this.rollout, replicas) };
  }

  get outlook(): RolloutOutlook {
    return rolloutOutlook(this.rollout, this.observation, this.now);
  }

  /** Where the step ends and where the deadline is, in seconds from now. */
  get times() {
    const { stepEndsAt, deadlineAt } = this.outlook;
    const ahead = (at: typeof stepEndsAt) => (at === undefined ? undefined : (timestampMs(at) - this.now) / 1000);
    return { stepEnds: ahead(stepEndsAt), deadline: ahead(deadlineAt) };
  }

  step(afterSeconds = 0, extra: Partial<RolloutObservation> = {}): this {
    this.now += afterSeconds * 1000;
    const observation = { ...this.observation, ...extra };
    this.rollout = stepRollout({ rollout: this.rollout, now: this.now, observation }).rollout;
    return this;
  }
}

const totals = (requests: bigint) => ({
  totals: { canary: { requests, errors: 0n }, baseline: { requests: requests * 9n, errors: 0n } },
});

test("a canary tells what its step lacks, when it has that at the present rate, and what comes then", () => {
  const steps = [
    { weightPercent: 10, holdSeconds: 30, minRequests: 200 },
    { weightPercent: 50, holdSeconds: 60 },
  ];
  const world = new World({ kind: { case: "canary", value: { steps } } });
  world.ready = 0;
  expect(world.step().outlook).toMatchObject({
    waitsFor: "0 of 4 replicas of revision 2 are ready, 10 % wanted on them",
    next: "10 % of the traffic goes to revision 2",
    commands: ["pause", "abort"],
  });
  expect(world.times).toEqual({ stepEnds: undefined, deadline: 600 });
  world.ready = 4;
  world.step();
  expect(world.outlook).toMatchObject({ requestsMissing: 200n, requestsPerSecond: 0 });
  expect(world.times.stepEnds).toBeUndefined();
  world.step(10, totals(40n));
  expect(world.outlook).toMatchObject({
    waitsFor: "40 of 200 requests seen at 10 %",
    requestsMissing: 160n,
    requestsPerSecond: 4,
    evidenceNeeded: expect.closeTo(111.1, 1),
    next: "50 % of the traffic goes to revision 2",
    commands: ["promote", "pause", "abort"],
  });
  expect(world.times.stepEnds).toBe(40);
  world.step(5, totals(200n));
  expect(world.outlook).toMatchObject({ waitsFor: "held at 10 % for 30 s", requestsMissing: 0n });
  expect(world.times.stepEnds).toBe(15);
  expect(world.step(15).outlook).toMatchObject({
    waitsFor: "held at 50 % for 60 s",
    next: "all traffic goes to revision 2",
  });
});

test.each<[string, StrategyInit, string, string]>([
  [
    "blue-green",
    { kind: { case: "blueGreen", value: { manual: true } } },
    "revision 2 can be looked at with header kedge-revision, and gets no traffic",
    "all traffic goes to revision 2",
  ],
  ["all at once", { kind: { case: "allAtOnce", value: {} } }, "all traffic goes to revision 2", ""],
  [
    "rolling",
    { kind: { case: "rolling", value: {} } },
    "replicas are exchanged, and traffic follows those that are ready",
    "revision 2 is promoted",
  ],
  [
    "A/B by match",
    {
      kind: {
        case: "abTest",
        value: { by: { case: "match", value: { key: KEY, kind: MatchKind.EXACT, values: ["a"] } } },
      },
    },
    "requests that match go to revision 2",
    "all traffic goes to revision 2",
  ],
  [
    "A/B by hash",
    { kind: { case: "abTest", value: { by: { case: "hash", value: KEY }, weightPercent: 30 } } },
    "30 % of the traffic goes to revision 2",
    "all traffic goes to revision 2",
  ],
  [
    "shadow",
    { kind: { case: "shadow", value: { mirrorPercent: 25 } } },
    "25 % of the requests are copied to revision 2",
    "all traffic goes to revision 2",
  ],
])("%s: what comes next is said before and while its step runs", (_name, strategy, first, then) => {
  const world = new World(strategy);
  world.ready = 0;
  expect(world.outlook).toMatchObject({ next: first });
  expect(world.outlook.waitsFor).toContain("replicas of revision 2");
  world.ready = 1;
  world.step();
  world.ready = 4;
  for (let i = 0; i < 3 && world.rollout.state === RolloutState.PREPARING; i++) world.step();
  if (then !== "") expect(world.outlook).toMatchObject({ next: then });
});

test("waves are named", () => {
  const steps = [{ weightPercent: 50, holdSeconds: 5 }];
  const waves = [{ name: "eu", nodeSelector: { zone: "eu" } }, { name: "rest" }];
  const world = new World({ kind: { case: "canary", value: { steps, waves } } });
  expect(world.outlook.next).toBe("50 % of the traffic goes to revision 2 on the nodes of wave eu");
});

test("a first revision, a manual step and a judge's word have no time that could be foretold", () => {
  const first = new World({ kind: { case: "canary", value: {} } }, {}, 0);
  expect(first.outlook.next).toBe("all traffic goes to revision 2");
  first.rollout = abortRollout(first.rollout, first.now);
  expect(first.outlook).toMatchObject({ waitsFor: "a node may still route to it", next: "nothing serves" });
  const manual = new World({ kind: { case: "blueGreen", value: { manual: true } } });
  manual.step().step(1);
  expect(manual.outlook.waitsFor).toBe("waits to be promoted by a person");
  expect(manual.times).toEqual({ stepEnds: undefined, deadline: undefined });
  const steps = [{ weightPercent: 10, holdSeconds: 5 }];
  const judged = new World({ kind: { case: "canary", value: { steps } } }, { passRequired: true });
  judged.step().step(6);
  expect(judged.outlook.waitsFor).toBe("the judge has not passed it yet");
  expect(judged.times).toEqual({ stepEnds: undefined, deadline: 599 });
});

test("paused, promoted, taken back and ended rollouts say what comes of them", () => {
  const steps = [{ weightPercent: 10, holdSeconds: 30 }];
  const start = () =>
    new World({ kind: { case: "canary", value: { steps } }, scaleDownDelaySeconds: 300 }, { watchSeconds: 60 }).step();
  const paused = start();
  paused.rollout = pauseRollout(paused.rollout, paused.now);
  expect(paused.outlook).toMatchObject({
    waitsFor: "paused: paused by the user",
    next: "the traffic stays as it is until a person decides; then all traffic goes to revision 2",
    commands: ["resume", "abort"],
  });
  expect(paused.times.deadline).toBeUndefined();
  const blind = start().step(1, { metricsMissing: "no errors although there is traffic" });
  expect(blind.rollout.pauseCause).toBe(PauseCause.METRICS_MISSING);
  expect(blind.outlook.next).toBe("it goes on by itself once the metrics are back");
  const aborted = start();
  aborted.rollout = abortRollout(aborted.rollout, aborted.now);
  expect(aborted.outlook).toMatchObject({ next: "revision 1 has all traffic again", commands: [] });
  aborted.step();
  expect(aborted.outlook).toMatchObject({
    waitsFor: "",
    next: "revision 2 serves again only when a person asks for it",
    commands: ["retry"],
  });
  const promoted = start();
  promoted.rollout = promoteRollout(promoted.rollout);
  promoted.step();
  expect(promoted.outlook).toMatchObject({
    next: "revision 2 is in force, and revision 1 is retired",
    commands: ["abort"],
  });
  promoted.step().step(11).step(1);
  expect(promoted.outlook).toMatchObject({
    next: "an incident within 59 s brings revision 1 back; the replicas of revision 1 are kept for 299 s more",
    commands: ["rollback"],
  });
  promoted.now += 1_000_000;
  expect(promoted.outlook.next).toBe("");
});
