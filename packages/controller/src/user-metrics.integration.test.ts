import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type AnalysisSpecSchema,
  MetricKind,
  MetricProblem,
  PauseCause,
  type ReplicaExposureSchema,
  RolloutState,
  type UserMetricSchema,
  VerdictKind,
  WorseWhen,
} from "@kedge/proto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ControllerHarness } from "./testing/controller-harness.ts";
import { eventually } from "./testing/eventually.ts";
import { ImageDeployment, reasonsOf } from "./testing/image-deployment.ts";
import type { ScriptedAgent, Traffic } from "./testing/scripted-agent.ts";

type Told = MessageInitShape<typeof UserMetricSchema>;
type Exposure = MessageInitShape<typeof ReplicaExposureSchema>;

const SCORE = { name: "score", kind: MetricKind.MEAN, upper: 1, worseWhen: WorseWhen.LOWER };
const ERRORS = { name: "errors", kind: MetricKind.ERRORS };

let harness: ControllerHarness;
let agent: ScriptedAgent;

beforeAll(async () => {
  harness = await ControllerHarness.start();
  agent = await harness.agent("n1");
});
afterAll(() => harness.stop());

/** So many answers of this mean score, spread by a fifth. */
function scores(mean: number, count: number): Told {
  return {
    name: "score",
    value: { case: "moments", value: { count, sum: mean * count, sumSquares: (mean * mean + 0.04) * count } },
  };
}

function traffic(tells: Traffic["tells"]): Traffic {
  return { requests: 100, errorPercent: () => 0, ...(tells === undefined ? {} : { tells }) };
}

/** A second revision under way at half of the traffic, beside the first. */
async function canary(
  name: string,
  analysis: MessageInitShape<typeof AnalysisSpecSchema>,
  minRequests = 0,
): Promise<ImageDeployment> {
  const steps = [{ weightPercent: 50, ...(minRequests > 0 ? { minRequests } : { holdSeconds: 3_600 }) }];
  const deployment = new ImageDeployment(harness, name, {
    strategy: { kind: { case: "canary", value: { steps } } },
    analysis,
  });
  await deployment.apply("img:1");
  await deployment.rolledOut(1);
  await deployment.apply("img:2");
  return deployment;
}

test("nodes are told which metrics to ask for", async () => {
  agent.traffic = traffic((_, count) => ({ metrics: [scores(0.8, count)] }));
  await canary("told", { metrics: [SCORE] });
  const metrics = await eventually(
    () => agent.routes.get("told")?.judgement?.analysis?.metrics,
    (found) => found !== undefined && found.length > 0,
  );
  expect(metrics).toMatchObject([{ name: "score", lower: 0, upper: 1 }]);
});

test("a revision whose answers score lower is rolled back, with no error", async () => {
  agent.traffic = traffic((revision, count) => ({ metrics: [scores(revision === 2 ? 0.7 : 0.8, count)] }));
  const score = await canary("score-drops", { metrics: [ERRORS, SCORE] });
  const live = await score.rolledOut(2, RolloutState.ROLLED_BACK);
  expect(live.rollout?.verdict).toMatchObject({ kind: VerdictKind.ROLLBACK, metric: "score" });
  expect(live.rollout?.totalCanary).toMatchObject({ errors: 0n });
  expect(reasonsOf(live)).toContain("the new revision is worse on score: mean differs by -0.1");
});

test("a revision whose answers score alike is promoted", async () => {
  agent.traffic = traffic((_, count) => ({ metrics: [scores(0.8, count)] }));
  const live = await (await canary("score-holds", { metrics: [ERRORS, SCORE] }, 1_000)).rolledOut(2);
  expect(live.stableRevision).toBe(2);
});

test("a revision whose replicas are killed for their memory is rolled back, its start not counted", async () => {
  const exposures: Record<number, Exposure> = {
    1: { readyMs: 300n, replicas: 3 },
    2: { readyMs: 50n, replicas: 1, restarts: 1, oomKills: 1 },
  };
  agent.traffic = traffic((revision) => ({ exposure: exposures[revision] ?? {} }));
  const live = await (
    await canary("restarts", { metrics: [{ kind: MetricKind.RESTARTS, name: "restarts" }] })
  ).rolledOut(2, RolloutState.ROLLED_BACK);
  expect(live.rollout?.verdict).toMatchObject({ kind: VerdictKind.ROLLBACK, metric: "restarts" });
  expect(reasonsOf(live)).toMatch(/worse on restarts: \d+ in \S+ against 0 in/);
});

test("a counter is judged by the requests of its time", async () => {
  const fallbacks = (share: number, requests: number): Told => {
    return { name: "fallbacks", value: { case: "count", value: { events: Math.round(share * requests), requests } } };
  };
  agent.traffic = traffic((revision, count) => ({ metrics: [fallbacks(revision === 2 ? 0.2 : 0.05, count)] }));
  const live = await (await canary("count", { metrics: [{ name: "fallbacks", kind: MetricKind.COUNT }] })).rolledOut(
    2,
    RolloutState.ROLLED_BACK,
  );
  expect(live.rollout?.verdict).toMatchObject({ kind: VerdictKind.ROLLBACK, metric: "fallbacks" });
});

test("a metric that a revision does not tell pauses, with the reason, and goes on when it comes", async () => {
  const absent = { name: "score", problem: MetricProblem.ABSENT };
  agent.traffic = traffic((revision, count) => ({ metrics: [revision === 2 ? absent : scores(0.8, count)] }));
  const score = await canary("missing", { metrics: [ERRORS, SCORE] });
  const paused = await score.rolledOut(2, RolloutState.PAUSED);
  expect(paused.rollout?.pauseCause).toBe(PauseCause.METRICS_MISSING);
  expect(reasonsOf(paused)).toContain("no score (no replica of revision 2 tells it) although there is traffic");
  expect(agent.routes.get("missing")?.judgement?.analysis?.metrics).toHaveLength(2);
  agent.traffic = traffic((_, count) => ({ metrics: [scores(0.8, count)] }));
  const live = await score.rolledOut(2, RolloutState.PROGRESSING);
  expect(reasonsOf(live)).toContain("the metrics are back");
}, 30_000);

test("figures that cannot be are refused without harm, and count as missing", async () => {
  const lies = [
    { count: 4_000_000_000, sum: 1e300, sumSquares: -1 },
    { count: 10, sum: Number.NaN, sumSquares: Number.NaN },
    { count: 10, sum: -5, sumSquares: 1e300 },
  ];
  const moments = lies.map((value): Told => ({ name: "score", value: { case: "moments", value } }));
  const crowd = Array.from(
    { length: 10_000 },
    (_, i): Told => ({ name: `m${i}`, value: { case: "count", value: { events: 1, requests: 1 } } }),
  );
  const samples: Told = {
    name: "score",
    value: { case: "samples", value: { bounds: [2, 1], counts: [1], values: [Infinity] } },
  };
  let turn = 0;
  agent.traffic = traffic((revision, count) => {
    if (revision === 1) return { metrics: [scores(0.8, count)], exposure: { replicas: 1 } };
    const lie = [...moments, samples][turn++ % 4];
    const exposure = { replicas: 4_000_000_000, restarts: 0, readyMs: 2n ** 63n };
    return { metrics: [...(lie === undefined ? [] : [lie]), ...crowd], exposure };
  });
  const metrics = [ERRORS, SCORE, { name: "restarts", kind: MetricKind.RESTARTS }];
  const score = await canary("hostile", { metrics });
  const paused = await score.rolledOut(2, RolloutState.PAUSED);
  expect(reasonsOf(paused)).toContain("no score (revision 2 tells figures that cannot be) although there is traffic");
  agent.traffic = traffic((revision, count) => ({
    metrics: [scores(revision === 2 ? 0.6 : 0.8, count)],
    exposure: { replicas: 1 },
  }));
  const live = await score.rolledOut(2, RolloutState.ROLLED_BACK);
  expect(live.rollout?.verdict).toMatchObject({ metric: "score" });
}, 30_000);

test("a fixed limit may be on a user's metric", async () => {
  agent.traffic = traffic((_, count) => ({ metrics: [scores(0.6, count)] }));
  const analysis = { metrics: [SCORE], thresholds: [{ metric: "score", atLeast: 0.7, windowSeconds: 1 }] };
  const live = await (await canary("limit", analysis)).rolledOut(2, RolloutState.ROLLED_BACK);
  expect(reasonsOf(live)).toMatch(/score is 0.6 over \d+ requests, at least 0.7 wanted/);
});
