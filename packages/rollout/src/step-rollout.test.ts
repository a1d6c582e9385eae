import { create } from "@bufbuild/protobuf";
import { type Rollout, RolloutCause, RolloutState, StrategySchema, VerdictKind, VerdictSchema } from "@kedge/proto";
import { expect, test } from "vitest";
import { desiredRoute } from "./desired-route.ts";
import { desiredRevisions } from "./desired-scales.ts";
import type { ReplicaCounts, RolloutObservation } from "./observation.ts";
import { abortRollout, pauseRollout, promoteRollout, resumeRollout } from "./requests.ts";
import { startRollout } from "./start.ts";
import { stepRollout } from "./step-rollout.ts";

const START = 1_700_000_000_000;
const STEPS = [
  { weightPercent: 10, holdSeconds: 30, minRequests: 100 },
  { weightPercent: 50, manual: true },
];

const ready = (count: number): ReplicaCounts => ({ desired: 4, ready: count, failed: 0 });
const both = (old: number, fresh: number): RolloutObservation["replicas"] =>
  new Map([
    [1, ready(old)],
    [2, ready(fresh)],
  ]);

function canary(): Rollout {
  const strategy = create(StrategySchema, { kind: { case: "canary", value: { steps: STEPS } } });
  return startRollout({ deployment: "d", fromRevision: 1, toRevision: 2, attempt: 1, strategy }, START);
}

const rollbackVerdict = create(VerdictSchema, { kind: VerdictKind.ROLLBACK, metric: "errors", reason: "too many" });

/** A rollout in a world that does what it is told: replicas as given, every route in force at once. */
class World {
  now = START;
  replicas = both(4, 4);
  requests = 0n;
  extra: Partial<RolloutObservation> = {};
  rollout: Rollout;

  constructor(rollout: Rollout) {
    this.rollout = rollout;
  }

  get shareOfNew(): number {
    const { splits } = desiredRoute(this.rollout, this.replicas);
    return splits.find((split) => split.revision === this.rollout.toRevision)?.basisPoints ?? 0;
  }

  step(afterSeconds = 0, requests = 0): RolloutState {
    this.now += afterSeconds * 1000;
    this.requests += BigInt(requests);
    const routeInForce = desiredRoute(this.rollout, this.replicas).splits;
    const totals = {
      canary: { requests: this.requests, errors: 0n },
      baseline: { requests: this.requests * 9n, errors: 0n },
    };
    const observation = { replicas: this.replicas, routeInForce, totals, ...this.extra };
    this.rollout = stepRollout({ rollout: this.rollout, now: this.now, observation }).rollout;
    return this.rollout.state;
  }
}

test("a canary goes through its steps to success", () => {
  const world = new World(canary());
  world.replicas = both(4, 0);
  expect(world.step()).toBe(RolloutState.PREPARING);
  expect(world.shareOfNew).toBe(0);
  world.replicas = both(4, 1);
  expect(world.step()).toBe(RolloutState.PROGRESSING);
  expect(world.shareOfNew).toBe(1000);
  expect(desiredRoute(world.rollout, world.replicas).windowMs).toBe(250);
  world.step(31, 50);
  expect(world.rollout.step).toBe(0);
  world.step(1, 60);
  expect(world.rollout.step).toBe(1);
  expect(world.shareOfNew).toBe(1000);
  world.replicas = both(4, 2);
  world.step();
  expect(world.shareOfNew).toBe(5000);
  world.step(10_000);
  expect(world.rollout.state).toBe(RolloutState.PROGRESSING);
  world.rollout = promoteRollout(world.rollout);
  world.replicas = both(4, 4);
  world.step();
  expect(world.rollout.state).toBe(RolloutState.PROMOTING);
  expect(desiredRevisions(world.rollout)).toEqual([1, 2]);
  world.step();
  expect(world.step(11)).toBe(RolloutState.SUCCEEDED);
  expect(desiredRevisions(world.rollout)).toEqual([2]);
  expect(desiredRoute(world.rollout, new Map()).splits).toMatchObject([{ revision: 2, basisPoints: 10_000 }]);
});

test("the first revision serves as soon as all its replicas are ready", () => {
  const world = new World(startRollout({ deployment: "d", fromRevision: 0, toRevision: 1, attempt: 1 }, START));
  world.replicas = new Map([[1, ready(3)]]);
  world.step();
  expect(desiredRoute(world.rollout, world.replicas)).toMatchObject({ splits: [], stableRevision: 1 });
  world.replicas = new Map([[1, ready(4)]]);
  world.step();
  expect(world.shareOfNew).toBe(10_000);
  expect(world.step()).toBe(RolloutState.SUCCEEDED);
});

test("a rollback verdict sends all traffic back at once and keeps the replicas until the route is in force", () => {
  const world = new World(canary());
  world.step();
  world.extra = { verdict: rollbackVerdict };
  expect(world.step()).toBe(RolloutState.ROLLING_BACK);
  expect(world.rollout.cause).toBe(RolloutCause.JUDGE);
  expect(world.shareOfNew).toBe(0);
  expect(desiredRevisions(world.rollout)).toEqual([1, 2]);
  expect(world.step()).toBe(RolloutState.ROLLED_BACK);
  expect(desiredRevisions(world.rollout)).toEqual([1]);
  expect(world.rollout.transitions.map((transition) => transition.reason).join("\n")).toContain("too many");
});

test("an unjudged rollout takes no verdict", () => {
  const world = new World(canary());
  world.rollout.unjudged = true;
  world.step();
  world.extra = { verdict: rollbackVerdict };
  expect(world.step()).toBe(RolloutState.PROGRESSING);
});

test("a canary whose replicas become unready gets no more than they carry", () => {
  const world = new World(canary());
  world.step();
  world.step(31, 200);
  world.step();
  expect(world.shareOfNew).toBe(5000);
  world.replicas = both(4, 1);
  expect(world.shareOfNew).toBe(2500);
  world.replicas = both(4, 0);
  expect(world.shareOfNew).toBe(0);
});

test("an abort leaves what the old revision cannot carry, and only ever takes more away", () => {
  const world = new World(canary());
  world.rollout = stepToPromoting(world);
  expect(world.shareOfNew).toBe(10_000);
  world.replicas = both(1, 4);
  world.rollout = abortRollout(world.rollout, world.now);
  expect(world.shareOfNew).toBe(7500);
  world.step();
  world.replicas = both(3, 4);
  world.step();
  expect(world.shareOfNew).toBe(2500);
  world.replicas = both(1, 4);
  world.step();
  expect(world.shareOfNew).toBe(2500);
  world.replicas = both(4, 4);
  world.step();
  expect(world.shareOfNew).toBe(0);
  expect(world.step()).toBe(RolloutState.ROLLED_BACK);
});

test("a replica that failed for good ends the rollout with what it said", () => {
  const world = new World(canary());
  world.replicas = new Map([
    [1, ready(4)],
    [2, { desired: 4, ready: 3, failed: 1, message: "exit code 3" }],
  ]);
  world.step();
  expect(world.rollout.cause).toBe(RolloutCause.REPLICA_FAILED);
  expect(world.rollout.transitions.at(-1)?.reason ?? "").not.toBe("");
  expect(world.rollout.transitions.some(({ reason }) => reason.includes("exit code 3"))).toBe(true);
});

test("the deadline ends a rollout that waits for replicas or requests, but not one that is held or waits for a person", () => {
  const world = new World(canary());
  world.replicas = both(4, 0);
  world.step(599);
  expect(world.rollout.state).toBe(RolloutState.PREPARING);
  world.step(1);
  expect(world.rollout.cause).toBe(RolloutCause.DEADLINE);

  const quiet = new World(canary());
  quiet.step();
  quiet.step(629, 0);
  expect(quiet.rollout.state).toBe(RolloutState.PROGRESSING);
  quiet.step(1);
  expect(quiet.rollout.cause).toBe(RolloutCause.DEADLINE);
  expect(quiet.rollout.transitions.some(({ reason }) => reason.includes("0 of 100 requests"))).toBe(true);
});

test("the deadline does not run while the old replicas are kept on purpose", () => {
  const world = new World(canary());
  world.rollout.progressDeadlineSeconds = 40;
  world.rollout = stepToPromoting(world);
  world.step(39);
  expect(world.step(9)).toBe(RolloutState.PROMOTING);
  expect(world.step(1)).toBe(RolloutState.SUCCEEDED);
});

test("a pause holds the share and stops the deadline; the judge still acts", () => {
  const world = new World(canary());
  world.step();
  world.rollout = pauseRollout(world.rollout, world.now);
  expect(world.step(100_000, 500)).toBe(RolloutState.PAUSED);
  expect(world.shareOfNew).toBe(1000);
  const resumed = resumeRollout(world.rollout, world.now);
  expect(resumed.state).toBe(RolloutState.PROGRESSING);
  world.extra = { verdict: rollbackVerdict };
  world.step();
  expect(world.rollout.cause).toBe(RolloutCause.JUDGE);
});

test("a superseded rollout gives the traffic back first", () => {
  const world = new World(canary());
  world.step();
  world.extra = { supersededBy: 3 };
  expect(world.step()).toBe(RolloutState.ROLLING_BACK);
  expect(world.rollout.cause).toBe(RolloutCause.SUPERSEDED);
  expect(world.step()).toBe(RolloutState.ROLLED_BACK);
});

function stepToPromoting(world: World): Rollout {
  while (world.rollout.state !== RolloutState.PROMOTING) {
    world.rollout = promoteRollout(world.rollout);
    world.step(31, 200);
  }
  return world.rollout;
}
