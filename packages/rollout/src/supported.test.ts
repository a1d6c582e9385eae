import { create } from "@bufbuild/protobuf";
import { AnalysisSpecSchema, DeploymentSpecSchema, StrategySchema } from "@kedge/proto";
import { expect, test } from "vitest";
import { assertSupported, rolloutFeatures, SUPPORTED } from "./supported.ts";

const spec = create(DeploymentSpecSchema, {
  strategy: create(StrategySchema, {
    kind: { case: "canary", value: { steps: [{ weightPercent: 10, unjudged: true }], waves: [{ name: "rest" }] } },
    scaleDownDelaySeconds: 10,
  }),
  analysis: create(AnalysisSpecSchema, { watchSeconds: 60 }),
});

test("what a deployment asks for is named", () => {
  expect(rolloutFeatures(spec)).toEqual([
    "canary",
    "canary.waves",
    "canary.steps.unjudged",
    "scale-down-delay",
    "analysis.watch",
  ]);
});

test("what is not carried out is refused whole, and what is passes", () => {
  const supported = { canary: true, "canary.waves": true, "canary.steps.unjudged": true };
  expect(() => assertSupported(spec, supported)).toThrow(
    expect.objectContaining({
      ...{ reason: "INVALID_FIELD", field: "strategy" },
      message: "this server does not carry out scale-down-delay, analysis.watch yet",
    }),
  );
  assertSupported(spec, { ...supported, "scale-down-delay": true, "analysis.watch": true });
});

test("without a strategy there is nothing to refuse", () => {
  assertSupported(create(DeploymentSpecSchema), {});
  expect(SUPPORTED.canary).toBe(true);
});
