import {
  AnalysisAction,
  MetricKind,
  PauseCause,
  RequestSource,
  RolloutCause,
  RolloutState,
  VerdictKind,
  WorseWhen,
} from "@kedge/proto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ControllerHarness } from "./testing/controller-harness.ts";
import { eventually } from "./testing/eventually.ts";
import { ImageDeployment, reasonsOf } from "./testing/image-deployment.ts";
import type { ScriptedAgent } from "./testing/scripted-agent.ts";

let harness: ControllerHarness;
let agent: ScriptedAgent;

beforeAll(async () => {
  harness = await ControllerHarness.start();
  agent = await harness.agent("n1");
});
afterAll(() => harness.stop());

test.each([
  { metric: "latency", latencyMs: (revision: number) => (revision === 2 ? 30 : 20), yesPercent: () => 50 },
  { metric: "predictions", latencyMs: () => 20, yesPercent: (revision: number) => (revision === 2 ? 70 : 50) },
])("a revision that is worse on $metric alone, with no error, is rolled back", async ({ metric, ...answers }) => {
  agent.traffic = { requests: 100, errorPercent: () => 0, ...answers };
  const metrics = [
    { name: "errors", kind: MetricKind.ERRORS },
    { name: "latency", kind: MetricKind.LATENCY },
    { name: "predictions", kind: MetricKind.PREDICTIONS },
  ];
  const steps = [{ weightPercent: 50, holdSeconds: 60 }];
  const voice = new ImageDeployment(harness, `judged-${metric}`, {
    strategy: { kind: { case: "canary", value: { steps } } },
    analysis: { metrics },
  });
  await voice.apply("img:1");
  await voice.rolledOut(1);
  await voice.apply("img:2");
  const live = await voice.rolledOut(2, RolloutState.ROLLED_BACK);
  expect(live.stableRevision).toBe(1);
  expect(live.rollout?.verdict).toMatchObject({ kind: VerdictKind.ROLLBACK, metric });
  expect(live.rollout?.totalCanary).toMatchObject({ errors: 0n });
  expect(reasonsOf(live)).toContain(`the judge says roll back: the new revision is worse on ${metric}`);
  expect(voice.splitOn(agent)).toEqual({ 1: 100 });
});

test("an analysis that says pause holds the share until a person overrules it", async () => {
  agent.traffic = { requests: 100, errorPercent: (revision) => (revision === 2 ? 30 : 0) };
  const voice = new ImageDeployment(harness, "paused", {
    strategy: { kind: { case: "canary", value: { steps: [{ weightPercent: 50, holdSeconds: 60 }] } } },
    analysis: { action: AnalysisAction.PAUSE },
  });
  await voice.apply("img:1");
  await voice.rolledOut(1);
  await voice.apply("img:2");
  const held = await voice.rolledOut(2, RolloutState.PAUSED);
  expect(held.rollout).toMatchObject({ pauseCause: PauseCause.ANALYSIS, verdict: { kind: VerdictKind.ROLLBACK } });
  expect(voice.splitOn(agent)).toEqual({ 1: 50, 2: 50 });
  await harness.deployments.resumeRollout({ deployment: "paused" });
  await harness.deployments.promoteRollout({ deployment: "paused" });
  const live = await voice.rolledOut(2);
  expect(reasonsOf(live)).toContain("against the analysis; it is not asked again");
  expect(live.stableRevision).toBe(2);
});

test("without a pass nobody gets all of the traffic, and a pass ends the hold", async () => {
  const steps = [
    { weightPercent: 40, minRequests: 100, unjudged: true },
    { weightPercent: 50, holdSeconds: 3_600 },
  ];
  const voice = new ImageDeployment(harness, "passed", {
    strategy: { kind: { case: "canary", value: { steps } } },
    analysis: { passRequired: true, passEndsHolds: true, passMargin: 0.5 },
  });
  agent.traffic = { requests: 40, errorPercent: () => 0 };
  await voice.apply("img:1");
  await voice.rolledOut(1);
  await voice.apply("img:2");
  await voice.until(({ rollout }) => rollout?.toRevision === 2 && rollout.step === 1 && rollout.verdict !== undefined);
  // The hold is over; the pass is still wanted.
  harness.clock.skip(3_601_000);
  const before = (await voice.look()).rollout?.totalCanary?.requests ?? 0n;
  const waiting = await voice.until(({ rollout }) => (rollout?.totalCanary?.requests ?? 0n) >= before + 100n);
  expect(waiting.rollout).toMatchObject({ state: RolloutState.PROGRESSING, verdict: { kind: VerdictKind.CONTINUE } });
  await voice.apply("img:3");
  await voice.until(({ rollout }) => rollout?.toRevision === 3 && rollout.step === 1);
  agent.traffic = { requests: 2_000, errorPercent: () => 0 };
  const live = await voice.rolledOut(3);
  expect(live.rollout?.verdict?.kind).toBe(VerdictKind.PASS);
  expect(live.history.at(-1)).toMatchObject({ toRevision: 2, cause: RolloutCause.SUPERSEDED });
});

test("a step that is not judged takes no verdict; the next one does", async () => {
  agent.traffic = { requests: 100, errorPercent: (revision) => (revision === 2 ? 30 : 0) };
  const steps = [
    { weightPercent: 20, minRequests: 500, unjudged: true },
    { weightPercent: 50, holdSeconds: 60 },
  ];
  const voice = new ImageDeployment(harness, "unjudged", { strategy: { kind: { case: "canary", value: { steps } } } });
  await voice.apply("img:1");
  await voice.rolledOut(1);
  await voice.apply("img:2");
  const live = await voice.rolledOut(2, RolloutState.ROLLED_BACK);
  const back = live.rollout?.transitions.find(({ to }) => to === RolloutState.ROLLING_BACK);
  expect(reasonsOf(live)).toMatch(/step 1 done after \d+ requests/);
  expect(back?.weightPercent).toBe(50);
});

test("a fixed limit ends a rollout that is as bad as the revision before", async () => {
  agent.traffic = { requests: 100, errorPercent: () => 10 };
  const voice = new ImageDeployment(harness, "limited", {
    strategy: { kind: { case: "canary", value: { steps: [{ weightPercent: 50, holdSeconds: 60 }] } } },
    analysis: { thresholds: [{ metric: "errors", atMost: 0.05, windowSeconds: 1 }] },
  });
  await voice.apply("img:1");
  await voice.rolledOut(1);
  await voice.apply("img:2");
  const live = await voice.rolledOut(2, RolloutState.ROLLED_BACK);
  expect(reasonsOf(live)).toMatch(/errors is 10.00 % over \d+ requests, at most 5.00 % wanted/);
  expect(voice.splitOn(agent)).toEqual({ 1: 100 });
});

test("users stay on their side of a sticky canary, by a salt of its own that is not the rollout's id", async () => {
  agent.traffic = undefined;
  const key = { source: RequestSource.COOKIE, name: "uid" };
  const steps = [
    { weightPercent: 20, manual: true },
    { weightPercent: 60, manual: true },
  ];
  const voice = new ImageDeployment(harness, "sticky", {
    strategy: { sticky: key, kind: { case: "canary", value: { steps } } },
  });
  await voice.apply("img:1");
  await voice.rolledOut(1);
  await voice.apply("img:2");
  await eventually(
    () => voice.splitOn(agent),
    (split) => split[2] === 20,
  );
  const first = agent.routes.get("sticky")?.sticky;
  expect(first).toMatchObject({ key });
  expect(first?.salt).toMatch(/^[0-9a-f]{32}$/);
  await voice.promoteOnceAsked();
  await eventually(
    () => voice.splitOn(agent),
    (split) => split[2] === 60,
  );
  expect(agent.routes.get("sticky")?.sticky).toEqual(first);
  await voice.promoteOnceAsked();
  await voice.rolledOut(2);
  expect(agent.routes.get("sticky")?.sticky).toBeUndefined();
});

const REFUSED: [string, ConstructorParameters<typeof ImageDeployment>[2]][] = [
  ["is not one of the metrics", { analysis: { thresholds: [{ metric: "score", atMost: 0.1 }] } }],
  ["needs a quantile", { analysis: { thresholds: [{ metric: "latency", atMost: 100 }] } }],
  ["analysis.metrics[0].upper", { analysis: { metrics: [{ name: "score", kind: MetricKind.MEAN }] } }],
  ["when higher", { analysis: { metrics: [{ kind: MetricKind.LATENCY, worseWhen: WorseWhen.LOWER }] } }],
  ["on every node", { strategy: { kind: { case: "canary", value: { waves: [{ name: "eu" }] } } } }],
];

test.each(REFUSED)("what cannot be carried out is refused, not done by half: %s", async (what, more) => {
  await expect(new ImageDeployment(harness, "refused", more).apply("img:1")).rejects.toMatchObject({
    reason: "INVALID_FIELD",
    message: expect.stringContaining(what),
  });
});
