import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { systemClock } from "@kedge/kernel";
import { DeploymentSchema, LocalDecisionKind, NextRolloutSchema, RolloutState, VerdictKind } from "@kedge/proto";
import { expect, test } from "vitest";
import { deploymentLine, historyView, rolloutView } from "./rollout-views.ts";

const verdict = (evidence: number, kind = VerdictKind.CONTINUE) => ({
  kind,
  evidence,
  metric: "errors",
  effect: 1.8,
  effectLow: 0.5,
  effectHigh: Number.POSITIVE_INFINITY,
  moreRequests: 120n,
  reason: "not decided",
});

function deployment(rollout: MessageInitShape<typeof DeploymentSchema>["rollout"]) {
  const inOneMinute = timestampFromMs(systemClock.now() + 60_900);
  return create(DeploymentSchema, {
    name: "vad",
    rollout: { fromRevision: 1, toRevision: 2, state: RolloutState.PROGRESSING, alpha: 0.01, ...rollout },
    outlook: {
      waitsFor: "40 of 200 requests seen at 10 %",
      next: "50 % of the traffic goes to revision 2",
      commands: ["promote", "abort"],
      requestsMissing: 160n,
      requestsPerSecond: 4,
      stepEndsAt: inOneMinute,
      deadlineAt: inOneMinute,
    },
  });
}

test("a rollout under way says what it waits for, how long, and what the judge has", () => {
  const view = rolloutView(deployment({ verdict: verdict(10) }));
  expect(view.slice(0, -1)).toEqual([
    "rollout 1→2 progressing, step 1",
    "waits for: 40 of 200 requests seen at 10 %; 160 requests missing, 4.0 a second; step ends in 1m at the earliest",
    "then: 50 % of the traffic goes to revision 2",
    "deadline: 1m without progress",
    "by hand: kedge rollout promote|abort vad",
    "verdict: not decided",
    "evidence: [##########----------] 10 of 100, about 120 more requests to a roll-back",
    "effect on errors: 1.8, at all times between 0.5 and ∞",
  ]);
  expect(rolloutView(create(DeploymentSchema, { name: "vad" }))).toEqual(["no rollout yet"]);
  const asked = deployment({ state: RolloutState.ROLLED_BACK });
  asked.nextRollout = create(NextRolloutSchema, { revision: 2, reason: "tried again by eva" });
  expect(rolloutView(asked)[0]).toBe("next: revision 2, tried again by eva");
});

test.each([
  [0.01, VerdictKind.CONTINUE, 0],
  [1, VerdictKind.CONTINUE, 0],
  [1e9, VerdictKind.CONTINUE, 19],
  [Number.POSITIVE_INFINITY, VerdictKind.CONTINUE, 19],
  [Number.NaN, VerdictKind.CONTINUE, 0],
  [100, VerdictKind.ROLLBACK, 20],
  [100, VerdictKind.PASS, 20],
])("evidence of %d, verdict %d, fills %d of 20", (evidence, kind, filled) => {
  const line = deploymentLine(deployment({ verdict: verdict(evidence, kind) }));
  expect(line).toContain(`[${"#".repeat(filled)}${"-".repeat(20 - filled)}] not decided`);
  expect(line).toContain("deployment vad: 1→2 progressing, no traffic, 40 of 200 requests seen at 10 %");
});

test("history tells every rollout that is kept, with the reason of each move, and no escape sequence", () => {
  const ended = {
    toRevision: 1,
    state: RolloutState.SUCCEEDED,
    transitions: [{ to: RolloutState.PREPARING, reason: "first revision" }],
  };
  const live = create(DeploymentSchema, {
    history: [ended],
    rollout: {
      fromRevision: 1,
      toRevision: 2,
      state: RolloutState.ROLLED_BACK,
      verdict: { ...verdict(200, VerdictKind.ROLLBACK), reason: "worse\u001b[2J" },
      transitions: [{ to: RolloutState.ROLLING_BACK, weightPercent: 10, reason: "the judge says roll back" }],
    },
  });
  const view = historyView(live);
  expect(view[0]).toBe("rollout 0→1 succeeded");
  expect(view[1]).toMatchObject({ rows: [["-", "preparing", "0%", "first revision"]] });
  expect(view[3]).toBe("verdict: worse\ufffd[2J");
  expect(view.at(-1)).toMatchObject({ rows: [["-", "rolling-back", "10%", "the judge says roll back"]] });
  expect(historyView(create(DeploymentSchema))).toEqual(["no rollout yet"]);
});

test("decisions of nodes that were cut off are shown with what became of them, the newest of many, and harmless", () => {
  const decided = (n: number) => ({
    ...{ nodeId: `edge-${n}`, kind: LocalDecisionKind.ROLLBACK, cutOffSeconds: 42, reason: "worse\u001b[2J" },
    outcome: "the controller had it progressing; the node's decision holds for all",
  });
  const view = rolloutView(deployment({ localDecisions: [1, 2, 3, 4, 5, 6, 7, 8, 9].map(decided) }));
  const lines = view.filter((line) => typeof line === "string" && line.startsWith("cut off:"));
  expect(lines).toHaveLength(9);
  expect(lines[0]).toBe("cut off: more nodes decided by themselves, 1 in all");
  expect(lines[8]).toBe(
    "cut off: node edge-9 rolled back by itself after 42 s without the controller: worse\ufffd[2J; the controller had it progressing; the node's decision holds for all",
  );
});
