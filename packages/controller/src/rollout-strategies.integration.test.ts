import {
  type Deployment,
  MatchKind,
  ReplicaState,
  RequestSource,
  RevisionState,
  RolloutCause,
  RolloutState,
} from "@kedge/proto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { ControllerHarness } from "./testing/controller-harness.ts";
import { eventually } from "./testing/eventually.ts";
import { ImageDeployment, reasonsOf } from "./testing/image-deployment.ts";
import type { ScriptedAgent } from "./testing/scripted-agent.ts";

let harness: ControllerHarness;
let eu: ScriptedAgent;
let us: ScriptedAgent;

beforeAll(async () => {
  harness = await ControllerHarness.start();
  eu = await harness.agent("eu", { site: "eu" });
  us = await harness.agent("us", { site: "us" });
});
afterAll(() => harness.stop());
beforeEach(() => {
  for (const agent of [eu, us]) {
    agent.traffic = undefined;
    agent.replicaState = () => ReplicaState.READY;
  }
});

const onEu = { placement: { nodeSelector: { site: "eu" } } };

/** A deployment whose first revision serves. */
async function serving(...parts: ConstructorParameters<typeof ImageDeployment>): Promise<ImageDeployment> {
  const deployment = new ImageDeployment(...parts);
  await deployment.apply("img:1");
  await deployment.rolledOut(1);
  return deployment;
}

const replicaIds = (agent: ScriptedAgent, name: string, revision: number): string[] =>
  (agent.assignment?.replicas ?? [])
    .filter((replica) => replica.deployment === name && replica.revision === revision)
    .map(({ replicaId }) => replicaId);

test("blue-green: seen by preview only, switched at once, and back at once to replicas that were kept warm", async () => {
  const web = await serving(harness, "blue", {
    ...onEu,
    scale: { case: "replicas", value: 2 },
    strategy: { kind: { case: "blueGreen", value: { manual: true } }, scaleDownDelaySeconds: 600 },
  });
  const old = replicaIds(eu, "blue", 1);
  await web.apply("img:2");
  await web.until(({ rollout }) => rollout?.waitsForPerson === true);
  expect(eu.routes.get("blue")).toMatchObject({ splits: [{ revision: 1, basisPoints: 10_000 }], previewRevision: 2 });
  expect(web.revisionsOn(eu)).toEqual([1, 1, 2, 2]);
  await web.promoteOnceAsked();
  await eventually(
    () => eu.routes.get("blue"),
    (route) => route?.splits[0]?.revision === 2,
  );
  expect(eu.routes.get("blue")).toMatchObject({ splits: [{ revision: 2, basisPoints: 10_000 }], previewRevision: 0 });
  await web.rolledOut(2);
  expect(replicaIds(eu, "blue", 1)).toEqual(old);
  await harness.deployments.rollbackDeployment({ deployment: "blue" });
  const live = await web.rolledOut(1);
  expect(live).toMatchObject({ stableRevision: 1, rollout: { returning: true, fromRevision: 2 } });
  expect(web.splitOn(eu)).toEqual({ 1: 100 });
  expect(replicaIds(eu, "blue", 1)).toEqual(old);
  await eventually(
    () => web.revisionsOn(eu),
    (revisions) => revisions.join() === "1,1",
  );
});

test("replicas that are kept warm go when their time is over", async () => {
  const web = await serving(harness, "warm", {
    ...onEu,
    strategy: { kind: { case: "allAtOnce", value: {} }, scaleDownDelaySeconds: 300 },
  });
  await web.apply("img:2");
  await web.rolledOut(2);
  expect(web.revisionsOn(eu)).toEqual([1, 2]);
  harness.clock.skip(301_000);
  await eventually(
    () => web.revisionsOn(eu),
    (revisions) => revisions.join() === "2",
  );
});

/** Lets so many of a revision's replicas become ready, the first ones of those the agent has. */
function readyOf(agent: ScriptedAgent, name: string, revision: number, count: number): void {
  agent.replicaState = (of, replicaId) => {
    if (of !== revision) return ReplicaState.READY;
    return replicaIds(agent, name, revision).indexOf(replicaId) < count ? ReplicaState.READY : ReplicaState.STARTING;
  };
}

const rolling = (surge: number, unavailable: number) => ({
  ...onEu,
  scale: { case: "replicas", value: 4 } as const,
  strategy: {
    kind: {
      case: "rolling",
      value: {
        maxSurge: { value: { case: "count", value: surge } },
        maxUnavailable: { value: { case: "count", value: unavailable } },
      },
    },
  } as const,
});

test.each([
  { surge: 1, unavailable: 0 },
  { surge: 0, unavailable: 1 },
])("rolling with $surge more and $unavailable fewer: traffic follows what is ready", async ({ surge, unavailable }) => {
  const name = `rolling-${surge}`;
  const web = await serving(harness, name, rolling(surge, unavailable));
  readyOf(eu, name, 2, 0);
  await web.apply("img:2");
  for (let ready = 0; ready < 4; ready++) {
    readyOf(eu, name, 2, ready);
    const fresh = Math.min(4, ready + 1);
    const old = 4 - ready - unavailable;
    const wanted = [...Array<number>(old).fill(1), ...Array<number>(fresh).fill(2)];
    await eventually(
      () => web.revisionsOn(eu),
      (revisions) => revisions.join() === wanted.join(),
    );
    const share = Math.floor((10_000 * ready) / (ready + old)) / 100;
    await eventually(
      () => web.splitOn(eu),
      (split) => (split[2] ?? 0) === share,
    );
  }
  readyOf(eu, name, 2, 4);
  await web.rolledOut(2);
  expect(web.revisionsOn(eu)).toEqual([2, 2, 2, 2]);
  expect(web.splitOn(eu)).toEqual({ 2: 100 });
});

test("a rolling rollout whose replicas fail brings the old ones back", async () => {
  const web = await serving(harness, "broken", rolling(1, 0));
  readyOf(eu, "broken", 2, 2);
  await web.apply("img:2");
  await eventually(
    () => web.revisionsOn(eu),
    (revisions) => revisions.join() === "1,1,2,2,2",
  );
  eu.replicaState = (revision) => (revision === 2 ? ReplicaState.FAILED : ReplicaState.READY);
  const live = await web.rolledOut(2, RolloutState.ROLLED_BACK);
  expect(live.rollout?.cause).toBe(RolloutCause.REPLICA_FAILED);
  await eventually(
    () => web.revisionsOn(eu),
    (revisions) => revisions.join() === "1,1,1,1",
  );
  expect(web.splitOn(eu)).toEqual({ 1: 100 });
});

const waves = (maxFailedPercent: number): ConstructorParameters<typeof ImageDeployment>[2] => ({
  scale: { case: "replicasPerNode", value: 1 },
  strategy: {
    kind: {
      case: "canary",
      value: {
        ...{ steps: [{ weightPercent: 50, manual: true }], maxFailedPercent },
        waves: [{ name: "eu", nodeSelector: { site: "eu" } }, { name: "rest" }],
      },
    },
  },
});

const atWave = ({ rollout }: Deployment): [number | undefined, boolean] => [
  rollout?.step,
  rollout?.waitsForPerson === true,
];

test("waves: one site after the other, each through all steps; the others have neither replicas nor traffic of it", async () => {
  const web = await serving(harness, "waves", waves(0));
  await web.apply("img:2");
  await web.until((seen) => atWave(seen).join() === "0,true");
  expect(eu.routes.get("waves")).toMatchObject({
    splits: [{ revision: 1, basisPoints: 10_000 }],
    waves: [
      {
        nodeSelector: { site: "eu" },
        splits: [
          { revision: 1, basisPoints: 5_000 },
          { revision: 2, basisPoints: 5_000 },
        ],
      },
    ],
  });
  expect([web.revisionsOn(eu), web.revisionsOn(us)]).toEqual([[1, 2], [1]]);
  await web.promoteOnceAsked();
  await web.until((seen) => atWave(seen).join() === "2,true");
  expect(us.routes.get("waves")).toMatchObject({
    splits: [
      { revision: 1, basisPoints: 5_000 },
      { revision: 2, basisPoints: 5_000 },
    ],
    waves: [{ splits: [{ revision: 2, basisPoints: 10_000 }] }],
  });
  expect([web.revisionsOn(eu), web.revisionsOn(us)]).toEqual([
    [1, 2],
    [1, 2],
  ]);
  await web.promoteOnceAsked();
  await web.rolledOut(2);
  await eventually(
    () => [web.revisionsOn(eu), web.revisionsOn(us)].join("|"),
    (revisions) => revisions === "2|2",
  );
  expect(us.routes.get("waves")?.waves).toEqual([]);
});

test("waves: more failed nodes than are allowed bring all nodes back", async () => {
  const web = await serving(harness, "fleet", waves(40));
  us.replicaState = (revision) => (revision === 2 ? ReplicaState.FAILED : ReplicaState.READY);
  await web.apply("img:2");
  await web.promoteOnceAsked();
  const live = await web.rolledOut(2, RolloutState.ROLLED_BACK);
  expect(live.rollout?.cause).toBe(RolloutCause.FLEET_FAILURES);
  expect(reasonsOf(live)).toContain("failed on 1 of 2 nodes, 40 % may");
  expect(eu.routes.get("fleet")).toMatchObject({ splits: [{ revision: 1, basisPoints: 10_000 }], waves: [] });
});

test("A/B by a match: those who match get it, the judge keeps out of it, a person decides", async () => {
  const match = { key: { source: RequestSource.HEADER, name: "x-group" }, kind: MatchKind.EXACT, values: ["beta"] };
  const value = { by: { case: "match", value: match }, runSeconds: 3_600 } as const;
  const web = await serving(harness, "match", { ...onEu, strategy: { kind: { case: "abTest", value } } });
  await web.apply("img:2");
  await eventually(
    () => eu.routes.get("match"),
    (route) => route?.matches.length === 1,
  );
  expect(eu.routes.get("match")).toMatchObject({
    splits: [{ revision: 1, basisPoints: 10_000 }],
    matches: [{ match, revision: 2 }],
  });
  harness.clock.skip(3_600_000);
  await web.promoteOnceAsked();
  const live = await web.rolledOut(2);
  expect(live.rollout?.verdict).toBeUndefined();
  expect(eu.routes.get("match")).toMatchObject({ splits: [{ revision: 2, basisPoints: 10_000 }], matches: [] });
});

test("A/B by a share of the users: each stays on one side, until it is aborted", async () => {
  const key = { source: RequestSource.COOKIE, name: "uid" };
  const value = { by: { case: "hash", value: key }, weightPercent: 30 } as const;
  const web = await serving(harness, "users", { ...onEu, strategy: { kind: { case: "abTest", value } } });
  await web.apply("img:2");
  await eventually(
    () => web.splitOn(eu),
    (split) => split[2] === 30,
  );
  expect(eu.routes.get("users")?.sticky).toMatchObject({ key });
  await harness.deployments.abortRollout({ deployment: "users", reason: "no difference" });
  const live = await web.rolledOut(2, RolloutState.ROLLED_BACK);
  expect(live.stableRevision).toBe(1);
  expect(eu.routes.get("users")?.sticky).toBeUndefined();
});

const shadow = {
  ...onEu,
  strategy: {
    kind: {
      case: "shadow",
      value: { mirrorPercent: 20, minCompared: 200, maxDifferingBasisPoints: 100, promote: true },
    },
  } as const,
};

test("shadow: copies alone reach the new revision until enough answers are compared; then it gets all", async () => {
  const web = await serving(harness, "shadow-good", shadow);
  await web.apply("img:2");
  await eventually(
    () => eu.routes.get("shadow-good"),
    (route) => route?.mirrors.length === 1,
  );
  expect(eu.routes.get("shadow-good")).toMatchObject({
    splits: [{ revision: 1, basisPoints: 10_000 }],
    mirrors: [{ revision: 2, basisPoints: 2_000 }],
    windowMs: 100,
  });
  eu.traffic = { requests: 1_000, errorPercent: () => 0, differingPercent: 0.5 };
  const live = await web.rolledOut(2);
  expect(live.rollout?.comparisons?.compared).toBeGreaterThanOrEqual(200n);
  expect(eu.routes.get("shadow-good")).toMatchObject({ splits: [{ revision: 2, basisPoints: 10_000 }], mirrors: [] });
});

test("shadow: answers that differ too often end it, and no user has seen one", async () => {
  const web = await serving(harness, "shadow-bad", shadow);
  eu.traffic = { requests: 400, errorPercent: () => 0, differingPercent: 5 };
  await web.apply("img:2");
  const live = await web.rolledOut(2, RolloutState.ROLLED_BACK);
  expect(live.rollout).toMatchObject({ cause: RolloutCause.COMPARISON, totalCanary: { requests: 0n } });
  expect(reasonsOf(live)).toMatch(/\d+ of \d+ mirrored answers differ, 1 % may/);
  expect(eu.routes.get("shadow-bad")).toMatchObject({ splits: [{ revision: 1, basisPoints: 10_000 }], mirrors: [] });
});

test("an incident after the promotion brings the revision before back, and says so", async () => {
  const web = await serving(harness, "watched", { ...onEu, analysis: { watchSeconds: 600 } });
  await web.apply("img:2");
  await web.rolledOut(2);
  eu.traffic = { requests: 100, errorPercent: (revision) => (revision === 2 ? 20 : 0) };
  const live = await web.rolledOut(1);
  expect(live).toMatchObject({
    stableRevision: 1,
    rollout: { cause: RolloutCause.INCIDENT, returning: true, fromRevision: 2 },
    revisions: [{ state: RevisionState.STABLE }, { state: RevisionState.ROLLED_BACK }],
  });
  expect(reasonsOf(live)).toContain("incident: errors use up the budget");
  expect(web.splitOn(eu)).toEqual({ 1: 100 });
});
