import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { systemClock } from "@kedge/kernel";
import { type Deployment, DeploymentSchema, RolloutState, type Window, WindowSchema } from "@kedge/proto";
import { beforeEach, expect, test } from "vitest";
import { PromotionWatch } from "./promotion-watch.ts";

const BOUNDS = Array.from({ length: 46 }, (_, i) => 0.1 * 10 ** (i / 8));
const PROMOTED_MS = 1_700_000_000_000;

let nowMs: number;
let watch: PromotionWatch;
let sequence: bigint;

beforeEach(() => {
  nowMs = PROMOTED_MS - 1_800_000;
  sequence = 0n;
  watch = new PromotionWatch({ ...systemClock, now: () => nowMs });
});

/** Revision 2 was promoted; before that revision 1 is in force. */
function deploymentAt(watchSeconds = 1_200): Deployment {
  const isPromoted = nowMs >= PROMOTED_MS;
  return create(DeploymentSchema, {
    ...{ name: "voice", spec: { analysis: { watchSeconds } }, stableRevision: isPromoted ? 2 : 1 },
    rollout: {
      ...{ id: isPromoted ? "r2" : "r1", fromRevision: isPromoted ? 1 : 0, toRevision: isPromoted ? 2 : 1 },
      ...{ state: RolloutState.SUCCEEDED, finishedAt: timestampFromMs(PROMOTED_MS), analysis: { watchSeconds } },
    },
  });
}

interface Answers {
  readonly errors?: number;
  readonly bucket?: number;
}

/** A thousand requests to whatever is in force, with a little unrest in the response times. */
function windowOf({ errors = 0, bucket = 18 }: Answers): Window {
  const slow = 300 + Number((sequence * 37n) % 23n);
  const counts = [...BOUNDS, 0].map((_, i) => (i === bucket ? 1_000 - slow : i === bucket + 1 ? slow : 0));
  const revision = nowMs >= PROMOTED_MS ? 2 : 1;
  const part = { revision, basisPoints: 10_000, requests: 1_000, errors, latencyMs: { bounds: BOUNDS, counts } };
  sequence += 1n;
  return create(WindowSchema, { nodeId: "a", bootId: "b", sequence, deployment: "voice", revisions: [part] });
}

/** Windows every five seconds until a time; tells after how many seconds one made an incident. */
function until(endMs: number, answers: Answers, watchSeconds?: number): number | undefined {
  const startMs = nowMs;
  for (; nowMs < endMs; nowMs += 5_000) {
    if (watch.observe(deploymentAt(watchSeconds), windowOf(answers))) return (nowMs - startMs) / 1000;
  }
  return undefined;
}

test("what goes on as before makes no incident", () => {
  expect(until(PROMOTED_MS + 1_200_000, { errors: 1 })).toBeUndefined();
  expect(watch.incident(deploymentAt())).toBeUndefined();
});

test("answers that become slow after the promotion are an incident of the new revision", () => {
  expect(until(PROMOTED_MS + 300_000, {})).toBeUndefined();
  expect(until(PROMOTED_MS + 600_000, { bucket: 22 })).toBeLessThanOrEqual(60);
  expect(watch.incident(deploymentAt())).toMatchObject({
    revision: 2,
    reason: expect.stringMatching(/unusual response time: [\d.]+ ms/),
  });
});

test("more errors than there used to be are one within seconds, and only one", () => {
  until(PROMOTED_MS + 300_000, {});
  expect(until(PROMOTED_MS + 600_000, { errors: 10 })).toBeLessThanOrEqual(30);
  expect(until(PROMOTED_MS + 600_000, { errors: 10 })).toBeUndefined();
  expect(watch.incident(deploymentAt())?.reason).toContain("unusual error rate");
});

test("errors that burn the budget are one at once, also where nothing is known of what is normal", () => {
  nowMs = PROMOTED_MS;
  expect(until(PROMOTED_MS + 300_000, { errors: 40 })).toBe(0);
  expect(watch.incident(deploymentAt())?.reason).toContain("errors use up the budget");
});

test("a handful of failed requests, and what the revision before did as well, are none", () => {
  expect(until(PROMOTED_MS + 5_000, {})).toBeUndefined();
  expect(watch.observe(deploymentAt(), windowOf({ errors: 15 }))).toBe(false);
  const asBefore = deploymentAt();
  if (asBefore.rollout) Object.assign(asBefore.rollout, { totalBaseline: { requests: 10_000n, errors: 500n } });
  const fresh = new PromotionWatch({ ...systemClock, now: () => nowMs });
  for (let i = 0; i < 10; i++) expect(fresh.observe(asBefore, windowOf({ errors: 50 }))).toBe(false);
});

test("when the time of the watch is over, or none was asked for, nothing is looked at", () => {
  until(PROMOTED_MS + 300_000, {}, 300);
  expect(until(PROMOTED_MS + 900_000, { errors: 200 }, 300)).toBeUndefined();
  expect(until(PROMOTED_MS + 1_000_000, { errors: 200 }, 0)).toBeUndefined();
  expect(watch.incident(deploymentAt())).toBeUndefined();
});
