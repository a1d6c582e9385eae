import type { MessageInitShape } from "@bufbuild/protobuf";
import { DeploymentService, RolloutState, RuntimeKind, type StrategySchema } from "@kedge/proto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ControllerHarness } from "./testing/controller-harness.ts";
import { ImageDeployment, reasonsOf } from "./testing/image-deployment.ts";
import type { ScriptedAgent } from "./testing/scripted-agent.ts";

let harness: ControllerHarness;
let agent: ScriptedAgent;

beforeAll(async () => {
  harness = await ControllerHarness.start();
  agent = await harness.agent("n1");
});
afterAll(() => harness.stop());

const canary: MessageInitShape<typeof StrategySchema> = {
  kind: { case: "canary", value: { steps: [{ weightPercent: 50, minRequests: 300 }] } },
};

/** Applies an image as GitOps does, and gives back what it is told. */
function applyAgain(name: string, image: string, forceRevision = false) {
  const source = { case: "image", value: image } as const;
  const template = { source, runtime: RuntimeKind.PROCESS, port: 80, resources: {} };
  const spec = { name, template, strategy: canary, scale: { case: "replicas", value: 1 } as const };
  return harness.client(DeploymentService).applyDeployment({ spec, forceRevision });
}

test("a version that the judge rolled back is held back from applies, and rolled out again by a person's word", async () => {
  agent.traffic = { requests: 100, errorPercent: (revision) => (revision === 2 ? 40 : 0) };
  const voice = new ImageDeployment(harness, "again", { strategy: canary });
  await voice.apply("img:1");
  await voice.rolledOut(1);
  await voice.apply("img:2");
  await voice.rolledOut(2, RolloutState.ROLLED_BACK);

  const held = await applyAgain("again", "img:2");
  expect(held.heldBack).toMatch(/^revision 2 is this version and was taken back: the judge says roll back: .* errors/);
  expect(held.heldBack).toContain("kedge rollout retry again");
  expect(held.deployment?.revisions).toHaveLength(2);
  expect(held.deployment?.outlook?.commands).toEqual(["retry"]);
  expect((await applyAgain("again", "img:1")).heldBack).toBe("");

  agent.traffic = { requests: 100, errorPercent: () => 0 };
  await harness.deployments.retryRollout({ deployment: "again" });
  const live = await voice.rolledOut(2);
  expect(live).toMatchObject({ stableRevision: 2, rollout: { id: "again-2-2", fromRevision: 1 } });
  expect(reasonsOf(live)).toContain("tried again by");
  expect(live.rollout?.totalCanary?.errors).toBe(0n);
  expect((await applyAgain("again", "img:2")).heldBack).toBe("");
  expect(voice.splitOn(agent)).toEqual({ 2: 100 });
});

test("forced, the same version is a new revision; and a retry needs a version that was rolled back", async () => {
  agent.traffic = { requests: 100, errorPercent: () => 0 };
  const voice = new ImageDeployment(harness, "forced", { strategy: canary });
  await voice.apply("img:1");
  await voice.rolledOut(1);
  await expect(harness.deployments.retryRollout({ deployment: "forced" })).rejects.toMatchObject({
    reason: "REVISION_NOT_FOUND",
  });
  agent.traffic = undefined;
  await voice.apply("img:2");
  await voice.until(({ rollout }) => rollout?.toRevision === 2 && rollout.state === RolloutState.PROGRESSING);
  await expect(harness.deployments.retryRollout({ deployment: "forced" })).rejects.toMatchObject({
    reason: "CONFLICT",
  });
  await harness.deployments.abortRollout({ deployment: "forced", reason: "wrong weights" });
  await voice.rolledOut(2, RolloutState.ROLLED_BACK);
  expect((await applyAgain("forced", "img:2")).heldBack).toContain("wrong weights");
  agent.traffic = { requests: 100, errorPercent: () => 0 };
  const forced = await applyAgain("forced", "img:2", true);
  expect(forced).toMatchObject({ heldBack: "", changed: true });
  expect((await voice.rolledOut(3)).stableRevision).toBe(3);
});

test("the explanation says what is missing, how fast it comes, and what comes then", async () => {
  agent.traffic = { requests: 10, errorPercent: () => 0 };
  const steps = [{ weightPercent: 50, minRequests: 1_000_000 }];
  const voice = new ImageDeployment(harness, "asked", { strategy: { kind: { case: "canary", value: { steps } } } });
  await voice.apply("img:1");
  await voice.rolledOut(1);
  await voice.apply("img:2");
  const seen = await voice.until(
    ({ rollout, outlook }) => (outlook?.requestsPerSecond ?? 0) > 0 && rollout?.step === 0,
  );
  expect(seen.outlook).toMatchObject({
    next: "all traffic goes to revision 2",
    commands: ["promote", "pause", "abort"],
  });
  expect(seen.outlook?.waitsFor).toMatch(/^\d+ of 1000000 requests seen at 50 %$/);
  const { lines } = await harness.deployments.explainDeployment({ name: "asked" });
  const text = lines.join("\n");
  expect(text).toMatch(/^Waits for: \d+ of 1000000 requests seen at 50 %\.$/m);
  expect(text).toMatch(/^Missing: \d+ requests; \d+\.\d a second come\.$/m);
  expect(text).toMatch(/^This step ends in \d+ s at the earliest\.$/m);
  expect(text).toContain("Then: all traffic goes to revision 2.");
  expect(text).toContain("To step in: kedge rollout promote|pause|abort asked.");
});
