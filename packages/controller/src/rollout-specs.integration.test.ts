import { MatchKind, RequestSource } from "@kedge/proto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ControllerHarness } from "./testing/controller-harness.ts";
import { eventually } from "./testing/eventually.ts";
import { ImageDeployment } from "./testing/image-deployment.ts";
import type { ScriptedAgent } from "./testing/scripted-agent.ts";

type Spec = ConstructorParameters<typeof ImageDeployment>[2];

let harness: ControllerHarness;
let agent: ScriptedAgent;

beforeAll(async () => {
  harness = await ControllerHarness.start();
  agent = await harness.agent("n1");
});
afterAll(() => harness.stop());

const header = (name: string) => ({ source: RequestSource.HEADER, name });
const match = (name: string, values: string[]) => ({
  strategy: {
    kind: {
      case: "abTest" as const,
      value: { by: { case: "match" as const, value: { key: header(name), kind: MatchKind.EXACT, values } } },
    },
  },
});
const REFUSED: [Spec, string, string][] = [
  [match("kedge-revision", ["2"]), "strategy.ab_test.match.key.name", "the gateway's own"],
  [match("x\r\nx-admin: 1", ["2"]), "strategy.ab_test.match.key.name", "not the name of a header"],
  [match("x-group", ["a\r\nx-admin: 1"]), "strategy.ab_test.match.values[0]", "control characters"],
  [
    { strategy: { kind: { case: "canary", value: { steps: [{ weightPercent: 9 }, { weightPercent: 5 }] } } } },
    "strategy.canary.steps[1].weight_percent",
    "must ascend",
  ],
  [
    { strategy: { kind: { case: "canary", value: {} }, sticky: header("Content-Length") } },
    "strategy.sticky.name",
    "about the connection",
  ],
];

test.each(REFUSED)(
  "what a file may not say is refused over gRPC too, with its field: %#",
  async (spec, field, what) => {
    await expect(new ImageDeployment(harness, "refused", spec).apply("img:1")).rejects.toMatchObject({
      reason: "INVALID_FIELD",
      field,
      message: expect.stringContaining(what),
    });
  },
);

test("gateways are told how long new replicas warm up, also after the rollout", async () => {
  const warmUp = { seconds: 30, requests: 50 };
  const strategy = { kind: { case: "allAtOnce" as const, value: {} }, warmUp };
  const voice = new ImageDeployment(harness, "warm", { strategy });
  await voice.apply("img:1");
  await voice.rolledOut(1);
  await eventually(
    () => agent.routes.get("warm"),
    (route) => route?.warmUp?.requests === 50 && route.splits.length === 1,
  );
  expect(agent.routes.get("warm")?.warmUp).toMatchObject(warmUp);
});
