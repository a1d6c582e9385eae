import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  AnalysisSpecSchema,
  type Deployment,
  DeploymentSchema,
  LocalDecisionKind,
  LocalDecisionSchema,
  ReplicaTemplateSchema,
  RevisionSchema,
  RevisionState,
  RolloutCause,
  RolloutState,
  StrategySchema,
} from "@kedge/proto";
import { expect, test } from "vitest";
import { retryRevision, rollbackDeployment } from "./deployment-requests.ts";
import { desiredRoute } from "./desired-route.ts";
import { desiredRevisions } from "./desired-scales.ts";
import type { ReplicaCounts } from "./observation.ts";
import { abortRollout } from "./requests.ts";
import { addRevision, wantedRevision } from "./revisions.ts";
import { type DeploymentObservation, stepDeployment } from "./step-deployment.ts";

const START = 1_700_000_000_000;
const FULL: ReplicaCounts = { desired: 2, ready: 2, failed: 0 };
const { STABLE, RETIRED, ROLLED_BACK } = RevisionState;

/** A deployment whose revisions come up at once and whose routes are in force at once, unless told otherwise. */
class World {
  now = START;
  counts = new Map<number, ReplicaCounts>();
  deployment: Deployment = create(DeploymentSchema, {
    name: "d",
    spec: {
      name: "d",
      strategy: create(StrategySchema, {
        kind: { case: "canary", value: { steps: [{ weightPercent: 10, holdSeconds: 30 }] } },
      }),
      analysis: create(AnalysisSpecSchema, { watchSeconds: 600 }),
    },
  });

  get request() {
    return { who: "eva", nowMs: this.now };
  }

  get states(): RevisionState[] {
    return this.deployment.revisions.map(({ state }) => state);
  }

  apply(): void {
    const number = this.deployment.revisions.length + 1;
    const template = create(ReplicaTemplateSchema, { env: { V: String(number) } });
    addRevision(this.deployment, create(RevisionSchema, { number, template, state: RevisionState.CANDIDATE }));
    this.counts.set(number, FULL);
  }

  step(afterSeconds = 0, extra: Partial<DeploymentObservation> = {}): void {
    this.now += afterSeconds * 1000;
    const { rollout } = this.deployment;
    const replicas = new Map(
      rollout === undefined
        ? []
        : desiredRevisions(rollout, this.now).map((number) => [number, this.counts.get(number) ?? FULL]),
    );
    const observation = {
      replicas,
      ...(rollout === undefined ? {} : { routeInForce: desiredRoute(rollout, replicas) }),
      ...extra,
    };
    this.deployment = stepDeployment({ deployment: this.deployment, now: this.now, observation }).deployment;
  }

  /** Steps until the newest revision is in force. */
  promote(): void {
    this.apply();
    for (let i = 0; i < 12 && this.deployment.stableRevision !== this.deployment.revisions.length; i++) this.step(31);
  }
}

test("each revision goes its way and retires the one before", () => {
  const world = new World();
  world.promote();
  world.promote();
  expect(world.states).toEqual([RETIRED, STABLE]);
  expect(world.deployment.history).toHaveLength(1);
});

test("a newer revision supersedes: the traffic goes back to the stable one first, then to the newest", () => {
  const world = new World();
  world.promote();
  world.apply();
  world.step();
  world.step();
  world.apply();
  world.step();
  expect(world.deployment.rollout).toMatchObject({ toRevision: 2, cause: RolloutCause.SUPERSEDED });
  world.step();
  expect(world.deployment.rollout).toMatchObject({ fromRevision: 1, toRevision: 3 });
  expect(world.states).toEqual([STABLE, ROLLED_BACK, RevisionState.CANDIDATE]);
});

test("an incident while a promotion is watched brings the previous revision back without steps, once", () => {
  const world = new World();
  world.promote();
  world.promote();
  const incident = { revision: 2, reason: "latency of node n1 is out of the ordinary" };
  world.step(1, { incident });
  expect(world.deployment.rollout).toMatchObject({
    fromRevision: 2,
    toRevision: 1,
    returning: true,
    cause: RolloutCause.INCIDENT,
  });
  expect(world.deployment.rollout?.transitions[0]?.reason).toContain(incident.reason);
  for (let i = 0; i < 4; i++) world.step(11, { incident });
  expect(world.deployment.stableRevision).toBe(1);
  expect(world.states).toEqual([STABLE, ROLLED_BACK]);
  for (let i = 0; i < 20; i++) world.step(60, { incident: { revision: 1, reason: "again" } });
  expect(world.deployment.stableRevision).toBe(1);
});

test("after the watch, or about another revision, an incident changes nothing", () => {
  const world = new World();
  world.promote();
  world.promote();
  world.step(1, { incident: { revision: 1, reason: "r" } });
  world.step(601, { incident: { revision: 2, reason: "r" } });
  expect(world.deployment).toMatchObject({ stableRevision: 2, rollout: { state: RolloutState.SUCCEEDED } });
});

test("a return takes traffic as its replicas become ready, and is not given up for what it leaves", () => {
  const world = new World();
  world.promote();
  world.promote();
  rollbackDeployment(world.deployment, 0, world.request);
  world.counts.set(1, { desired: 2, ready: 1, failed: 1 });
  world.step();
  world.step();
  const { rollout } = world.deployment;
  const replicas = new Map([
    [1, { desired: 2, ready: 1, failed: 1 }],
    [2, FULL],
  ]);
  expect(rollout && desiredRoute(rollout, replicas).splits).toMatchObject([
    { revision: 1, basisPoints: 5000 },
    { revision: 2, basisPoints: 5000 },
  ]);
  world.step(700);
  expect(world.deployment.rollout?.state).toBe(RolloutState.PAUSED);
});

test("a person goes back to any kept revision, also out of a rollout, and the spec follows", () => {
  const world = new World();
  world.promote();
  world.promote();
  world.apply();
  world.step();
  world.step();
  expect(rollbackDeployment(world.deployment, 1, world.request)).toBe(1);
  expect(world.deployment.rollout?.state).toBe(RolloutState.ROLLING_BACK);
  expect(wantedRevision(world.deployment)?.number).toBe(1);
  for (let i = 0; i < 6; i++) world.step(11);
  expect(world.deployment).toMatchObject({ stableRevision: 1, spec: { template: { env: { V: "1" } } } });
  expect(world.states).toEqual([STABLE, ROLLED_BACK, ROLLED_BACK]);
  expect(() => rollbackDeployment(world.deployment, 9, world.request)).toThrow(
    expect.objectContaining({ reason: "REVISION_NOT_FOUND", hint: "it has 1, 2, 3" }),
  );
  expect(() => rollbackDeployment(world.deployment, 0, world.request)).toThrow(
    expect.objectContaining({ reason: "NO_PREVIOUS_REVISION" }),
  );
});

test("the same revision is tried again by its steps, and only when somebody asks", () => {
  const world = new World();
  world.promote();
  world.apply();
  world.step();
  const rolling = world.deployment.rollout;
  expect(() => retryRevision(world.deployment, 0, world.request)).toThrow(
    expect.objectContaining({ reason: "CONFLICT" }),
  );
  if (rolling) world.deployment.rollout = abortRollout(rolling, world.now);
  for (let i = 0; i < 5; i++) world.step(60);
  expect(world.deployment.rollout).toMatchObject({ id: "d-2-1", state: RolloutState.ROLLED_BACK });
  expect(retryRevision(world.deployment, 0, world.request)).toBe(2);
  for (let i = 0; i < 6; i++) world.step(31);
  expect(world.deployment).toMatchObject({
    stableRevision: 2,
    rollout: { id: "d-2-2", state: RolloutState.SUCCEEDED },
  });
  expect(world.deployment.rollout?.transitions[0]?.reason).toContain("tried again by eva");
});

test("a node that had rolled back before the promotion takes it back; one that comes later is only on record", () => {
  for (const [atMs, stable, outcome] of [
    [START, 1, "revision 1 comes back"],
    [START + 86_400_000, 2, "too late"],
  ] as const) {
    const world = new World();
    world.promote();
    world.promote();
    const decision = create(LocalDecisionSchema, {
      ...{ nodeId: "n1", rolloutId: "d-2-1", revision: 2, reason: "errors", kind: LocalDecisionKind.ROLLBACK },
      at: timestampFromMs(atMs),
    });
    for (let i = 0; i < 6; i++) world.step(11, { localDecisions: [decision] });
    expect(world.deployment.stableRevision).toBe(stable);
    const all = [world.deployment.rollout, ...world.deployment.history];
    const record = all.find((rollout) => rollout?.id === "d-2-1")?.localDecisions ?? [];
    expect(record).toHaveLength(1);
    expect(record[0]?.outcome).toContain(outcome);
  }
});
