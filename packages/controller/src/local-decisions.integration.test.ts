import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { publishDecision, subjects } from "@kedge/bus";
import {
  EventService,
  LocalDecisionKind,
  LocalDecisionSchema,
  RevisionState,
  RolloutCause,
  RolloutState,
  VerdictKind,
} from "@kedge/proto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ControllerHarness } from "./testing/controller-harness.ts";
import { eventually } from "./testing/eventually.ts";
import { ImageDeployment } from "./testing/image-deployment.ts";
import type { ScriptedAgent } from "./testing/scripted-agent.ts";

type DecisionInit = MessageInitShape<typeof LocalDecisionSchema>;

let harness: ControllerHarness;
let agent: ScriptedAgent;

beforeAll(async () => {
  harness = await ControllerHarness.start();
  agent = await harness.agent("n1", { role: "serve" });
});
afterAll(() => harness.stop());

/** A deployment whose second revision has half of the traffic, for an hour. */
async function halfway(name: string): Promise<ImageDeployment> {
  agent.traffic = { requests: 10, errorPercent: () => 0 };
  const placement = { nodeSelector: { role: "serve" } };
  const steps = [{ weightPercent: 50, holdSeconds: 3_600 }];
  const strategy = { kind: { case: "canary" as const, value: { steps } } };
  const voice = new ImageDeployment(harness, name, { strategy, placement });
  await voice.apply("img:1");
  await voice.rolledOut(1);
  await voice.apply("img:2");
  await voice.until(({ rollout }) => rollout?.toRevision === 2 && rollout.stepStartedAt !== undefined);
  await eventually(
    () => Promise.resolve(agent.routes.get(name)),
    (route) => route?.judgement?.toRevision === 2,
  );
  return voice;
}

function decision(
  deployment: string,
  more: Pick<DecisionInit, "nodeId" | "rolloutId" | "revision" | "routeGeneration" | "kind" | "reason"> = {},
) {
  return create(LocalDecisionSchema, {
    ...{ nodeId: "n1", deployment, rolloutId: `${deployment}-2-1`, revision: 2, kind: LocalDecisionKind.ROLLBACK },
    at: timestampFromMs(harness.clock.now()),
    reason: "worse on errors",
    verdict: { kind: VerdictKind.ROLLBACK, metric: "errors", evidence: 5_000 },
    routeGeneration: agent.routes.get(deployment)?.generation ?? 0n,
    cutOffSeconds: 42,
    ...more,
  } satisfies DecisionInit);
}

/** What people are told that nodes decided about a deployment. */
async function told(deployment: string): Promise<string[]> {
  const found: string[] = [];
  const events = harness
    .client(EventService)
    .watchEvents({ kind: "rollout", name: deployment, history: 100, noFollow: true });
  for await (const { event } of events) if (event?.reason === "NodeDecided") found.push(event.message);
  return found;
}

test("a node learns before a cut how to judge alone, with its part of what may go wrong", async () => {
  await halfway("briefed");
  expect(agent.routes.get("briefed")?.judgement).toMatchObject({
    ...{ rolloutId: "briefed-2-1", fromRevision: 1, toRevision: 2, byUser: false, exchanging: false },
    alpha: expect.closeTo(0.001, 12),
  });
});

test("what a node decided while it was cut off decides, told twice or once, and both decisions are on record", async () => {
  const voice = await halfway("voice");
  const own = decision("voice");
  await publishDecision(agent.bus, own);
  await publishDecision(agent.bus, own);
  const live = await voice.rolledOut(2, RolloutState.ROLLED_BACK);
  expect(live.rollout).toMatchObject({ cause: RolloutCause.LOCAL_DECISION, verdict: { kind: VerdictKind.CONTINUE } });
  expect(live.stableRevision).toBe(1);
  expect(live.rollout?.localDecisions).toMatchObject([
    {
      ...{ nodeId: "n1", kind: LocalDecisionKind.ROLLBACK, fromRevision: 1, reason: "worse on errors" },
      outcome: "the controller had it progressing; the node's decision holds for all",
    },
  ]);
  expect(agent.routes.get("voice")?.merged).toMatchObject([{ rolloutId: "voice-2-1", nodeId: "n1" }]);
  expect(voice.splitOn(agent)).toEqual({ 1: 100 });
  const said = "node n1 rolled back by itself after 42 s without the controller: worse on errors";
  expect(await told("voice")).toEqual([expect.stringContaining(said)]);
  const { lines } = await harness.deployments.explainDeployment({ name: "voice" });
  expect(lines.join("\n")).toContain(said);
});

test("a node has no say in what it does not serve, nor under another's name, nor about what there never was", async () => {
  const voice = await halfway("guarded");
  const hostile = await harness.agent("n2");
  await publishDecision(hostile.bus, decision("guarded", { nodeId: "n2" }));
  const forged = toBinary(LocalDecisionSchema, decision("guarded"));
  await hostile.bus.jetstream.publish(subjects.decisions("n2"), forged);
  await expect(hostile.bus.jetstream.publish(subjects.decisions("n1"), forged, { timeout: 500 })).rejects.toThrow();
  await publishDecision(agent.bus, decision("guarded", { rolloutId: "guarded-3-1", revision: 3 }));
  await publishDecision(agent.bus, decision("guarded", { revision: 1 }));
  await publishDecision(agent.bus, decision("guarded", { routeGeneration: 1_000_000n }));
  await publishDecision(agent.bus, decision("guarded", { kind: LocalDecisionKind.UNSPECIFIED }));
  const reason = "x".repeat(9_000);
  await publishDecision(agent.bus, decision("guarded", { kind: LocalDecisionKind.CONTINUE, reason }));
  const live = await voice.until(({ rollout }) => (rollout?.localDecisions.length ?? 0) > 0);
  // They are read in the order in which they were stored, so the others have been read.
  expect(live.rollout).toMatchObject({ state: RolloutState.PROGRESSING });
  expect(live.rollout?.localDecisions).toMatchObject([{ nodeId: "n1", kind: LocalDecisionKind.CONTINUE }]);
  expect(live.rollout?.localDecisions[0]?.reason).toHaveLength(500);
});

test("a decision that waited while there was no controller takes back what was promoted without it", async () => {
  const voice = await halfway("late");
  const own = decision("late");
  await harness.deployments.promoteRollout({ deployment: "late" });
  await voice.rolledOut(2);
  await harness.stopController({ keepNats: true });
  await publishDecision(agent.bus, own);
  await harness.startController();
  const live = await voice.until(
    ({ rollout }) => rollout?.returning === true && rollout.state === RolloutState.SUCCEEDED,
  );
  expect(live.stableRevision).toBe(1);
  expect(live.revisions.find(({ number }) => number === 2)?.state).toBe(RevisionState.ROLLED_BACK);
  expect(live.rollout).toMatchObject({ cause: RolloutCause.LOCAL_DECISION, fromRevision: 2, toRevision: 1 });
  const promoted = live.history.find(({ id }) => id === "late-2-1");
  expect(promoted?.localDecisions[0]?.outcome).toContain("the node's decision holds: revision 1 comes back");
  expect(agent.routes.get("late")?.merged).toMatchObject([{ rolloutId: "late-2-1", nodeId: "n1" }]);
});

test("a node that was given up for lost amid the rollout, and replaced, is still heard", async () => {
  const voice = await halfway("replaced");
  await harness.agent("n3", { role: "serve" });
  const own = decision("replaced");
  agent.beats = false;
  const isReplaced = () => voice.revisionsOn(agent).length === 0;
  await eventually(async () => {
    harness.clock.skip(1_000);
    return await voice.look();
  }, isReplaced);
  agent.beats = true;
  await publishDecision(agent.bus, own);
  const live = await voice.rolledOut(2, RolloutState.ROLLED_BACK);
  expect(live.rollout?.lostNodes).toEqual(["n1"]);
  expect(live.rollout?.localDecisions).toMatchObject([{ nodeId: "n1", kind: LocalDecisionKind.ROLLBACK }]);
});
