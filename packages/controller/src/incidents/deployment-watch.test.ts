import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Deployment, DeploymentSchema, RolloutState, type Window, WindowSchema } from "@kedge/proto";
import { beforeEach, expect, test } from "vitest";
import { burnFinding, deploymentFinding } from "./alarm-findings.ts";
import { DeploymentWatch, type NodeShare } from "./deployment-watch.ts";
import type { Finding } from "./finding.ts";

const BOUNDS = Array.from({ length: 46 }, (_, i) => 0.1 * 10 ** (i / 8));
const PROMOTED_MS = 1_700_000_000_000;

let nowMs: number;
let watch: DeploymentWatch;
let sequence: bigint;
let shares: Map<string, NodeShare>;

beforeEach(() => {
  nowMs = PROMOTED_MS - 1_800_000;
  sequence = 0n;
  watch = new DeploymentWatch("voice", 1, nowMs);
  shares = new Map();
});

/** Revision 2 was promoted; before that revision 1 is in force. */
function deploymentAt(before: { requests: bigint; errors: bigint } = { requests: 0n, errors: 0n }): Deployment {
  const isPromoted = nowMs >= PROMOTED_MS;
  return create(DeploymentSchema, {
    ...{ name: "voice", stableRevision: isPromoted ? 2 : 1 },
    rollout: {
      ...{ id: isPromoted ? "r2" : "r1", fromRevision: isPromoted ? 1 : 0, toRevision: isPromoted ? 2 : 1 },
      ...{ state: RolloutState.SUCCEEDED, finishedAt: timestampFromMs(PROMOTED_MS), totalBaseline: before },
    },
  });
}

interface Answers {
  readonly errors?: number;
  readonly bucket?: number;
  readonly requests?: number;
  readonly nodeId?: string;
  readonly yes?: number;
}

/** A thousand requests to whatever is in force, with a little unrest in response times and answers. */
function windowOf({ errors = 0, bucket = 18, requests = 1_000, nodeId = "a", yes = 500 }: Answers): Window {
  const unrest = Number((sequence * 37n) % 23n);
  const slow = Math.round((requests * (300 + unrest)) / 1_000);
  const counts = [...BOUNDS, 0].map((_, i) => (i === bucket ? requests - slow : i === bucket + 1 ? slow : 0));
  const revision = nowMs >= PROMOTED_MS ? 2 : 1;
  const predictions = { yes: yes + unrest, no: Math.max(0, requests - yes - unrest) };
  const part = { revision, basisPoints: 10_000, requests, errors, latencyMs: { bounds: BOUNDS, counts }, predictions };
  sequence += 1n;
  return create(WindowSchema, { nodeId, bootId: "b", sequence, deployment: "voice", revisions: [part] });
}

/** One look at windows of this moment; what is wrong. */
function look(deployment: Deployment, windows: readonly Window[]): Finding[] {
  watch.follow(deployment.stableRevision, nowMs);
  const findings: Finding[] = [];
  if (watch.isDue(nowMs)) {
    const step = watch.close(nowMs);
    shares = new Map(step.shares);
    findings.push(...step.alarms.map((alarm) => deploymentFinding("voice", watch.revision, alarm)));
  }
  for (const window of windows) watch.add(deployment, window, nowMs);
  const burning = burnFinding("voice", watch);
  return burning === undefined ? findings : [...findings, burning];
}

/** Windows every five seconds until a time; the first finding, and after how many seconds it came. */
function until(endMs: number, ...answers: readonly Answers[]): { seconds: number; finding: Finding } | undefined {
  const startMs = nowMs;
  for (; nowMs < endMs; nowMs += 5_000) {
    const [finding] = look(deploymentAt(), answers.map(windowOf));
    if (finding !== undefined) return { seconds: (nowMs - startMs) / 1000, finding };
  }
  return undefined;
}

test("what goes on as before is no finding, across a promotion too", () => {
  expect(until(PROMOTED_MS + 1_200_000, { errors: 1 })).toBeUndefined();
});

test("answers that become slow after the promotion are found within a minute, as the new revision's", () => {
  expect(until(PROMOTED_MS + 300_000, {})).toBeUndefined();
  const found = until(PROMOTED_MS + 600_000, { bucket: 22 });
  expect(found?.seconds).toBeLessThanOrEqual(60);
  expect(found?.finding).toMatchObject({
    ...{ key: "anomaly/deployment/voice/latency", subject: { deployment: "voice", revision: 2 }, isAlarm: true },
    reason: expect.stringMatching(
      /^unusual response time: [\d.]+ ms, usually [\d.]+ ms; about 1 in 10\^\d+ by chance$/,
    ),
  });
  expect(found?.finding.beganAtMs).toBeGreaterThanOrEqual(PROMOTED_MS + 290_000);
  const { usual = 0, limit = 0 } = found?.finding.gauge ?? {};
  expect(limit).toBeGreaterThan(usual);
});

test("more errors than there used to be are found within half a minute, and counted once while they last", () => {
  until(PROMOTED_MS + 300_000, {});
  const found = until(PROMOTED_MS + 600_000, { errors: 10 });
  expect(found?.seconds).toBeLessThanOrEqual(30);
  expect(found?.finding.key).toBe("anomaly/deployment/voice/errors");
  nowMs += 5_000;
  expect(until(nowMs + 240_000, { errors: 10 })).toBeUndefined();
});

test("errors that burn the budget are found at once, also where nothing is known of what is normal", () => {
  nowMs = PROMOTED_MS;
  const found = until(PROMOTED_MS + 300_000, { errors: 40 });
  expect(found).toMatchObject({ seconds: 0, finding: { key: "burn/deployment/voice", beganAtMs: PROMOTED_MS } });
  expect(found?.finding.reason).toContain("errors use up the budget");
});

test("a handful of failed requests, and what the revision before did as well, are none", () => {
  expect(until(PROMOTED_MS + 5_000, {})).toBeUndefined();
  expect(look(deploymentAt(), [windowOf({ errors: 15 })])).toEqual([]);
  watch = new DeploymentWatch("voice", 2, nowMs);
  const asBefore = deploymentAt({ requests: 10_000n, errors: 500n });
  for (let i = 0; i < 10; i++, nowMs += 5_000) expect(look(asBefore, [windowOf({ errors: 50 })])).toEqual([]);
});

test("traffic that triples, and another mix of answers, are found as such", () => {
  until(PROMOTED_MS, {});
  expect(until(PROMOTED_MS + 60_000, { requests: 3_000 })?.finding.key).toBe("anomaly/deployment/voice/traffic");
  nowMs = PROMOTED_MS - 1_800_000;
  watch = new DeploymentWatch("voice", 1, nowMs);
  until(PROMOTED_MS - 600_000, {});
  const found = until(PROMOTED_MS - 300_000, { yes: 900 });
  expect(found?.finding).toMatchObject({ key: "anomaly/deployment/voice/predictions" });
});

test("each node is compared with the others", () => {
  until(PROMOTED_MS - 1_700_000, { nodeId: "a" }, { nodeId: "b", bucket: 22, errors: 20 }, { nodeId: "c" });
  expect(shares.get("b")?.slowness).toBeCloseTo(10 ** 0.5, 1);
  expect(shares.get("b")?.errorExcess).toBeCloseTo(2);
  expect(shares.get("a")?.slowness).toBeLessThan(1);
});

test("impossible windows change nothing", () => {
  until(PROMOTED_MS - 600_000, {});
  const before = watch.track.points("response time").length;
  const bad = (part: object) =>
    create(WindowSchema, {
      ...{ nodeId: "a", deployment: "voice", bootId: "b", sequence: ++sequence },
      from: { seconds: -62_135_596_800n, nanos: -5 },
      to: { seconds: 253_402_300_799n, nanos: 2_000_000_000 },
      revisions: [{ revision: 1, basisPoints: 4_000_000_000, requests: 100, errors: 0, ...part }],
    });
  const hostile = [
    bad({ errors: 0, latencyMs: { bounds: [Number.NaN, -1, Number.POSITIVE_INFINITY], counts: [50, 25, 25, 0] } }),
    bad({ latencyMs: { bounds: [1e300], counts: [4_000_000_000, 4_000_000_000] } }),
    bad({ predictions: { ["x".repeat(1_000)]: 4_294_967_295 } }),
    bad({ requests: 0, errors: 4_294_967_295 }),
  ];
  for (let i = 0; i < 12; i++, nowMs += 5_000) {
    const findings = look(deploymentAt(), [windowOf({}), ...hostile]);
    expect(findings.filter(({ key }) => !/traffic|predictions/.test(key))).toEqual([]);
  }
  const points = watch.track.points("response time").slice(before);
  for (const { value } of points) expect(value).toBeLessThan(40);
});
