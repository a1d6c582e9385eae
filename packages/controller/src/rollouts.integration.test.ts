import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type Deployment,
  DeploymentService,
  type DeploymentSpecSchema,
  MetricKind,
  RolloutState,
  RuntimeKind,
  VerdictKind,
} from "@kedge/proto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ControllerHarness } from "./testing/controller-harness.ts";
import { eventually } from "./testing/eventually.ts";
import type { ScriptedAgent } from "./testing/scripted-agent.ts";

let harness: ControllerHarness;
let agent: ScriptedAgent;

beforeAll(async () => {
  harness = await ControllerHarness.start();
  agent = await harness.agent("n1");
});
afterAll(() => harness.stop());

type Spec = MessageInitShape<typeof DeploymentSpecSchema>;

/** Makes the image's next version the wanted one. */
async function apply(name: string, image: string, more: Partial<Spec> = {}): Promise<void> {
  const template = { source: { case: "image", value: image }, runtime: RuntimeKind.PROCESS, port: 80 } as const;
  const spec = { name, template, scale: { case: "replicas", value: 1 }, ...more } as Spec;
  await harness.deployments.applyDeployment({ spec });
}

async function deployment(name: string): Promise<Deployment> {
  const { deployment: found } = await harness.client(DeploymentService).getDeployment({ name });
  if (found === undefined) throw new Error("no deployment came back");
  return found;
}

/** The deployment once its rollout is in a state; the clock is put forward while a promotion waits for gateways to drain. */
const rolledOut = (name: string, revision: number, state: RolloutState): Promise<Deployment> =>
  eventually(
    async () => {
      const seen = await deployment(name);
      if (seen.rollout?.state === RolloutState.PROMOTING) harness.clock.skip(1_000);
      return seen;
    },
    ({ rollout }) => rollout?.toRevision === revision && rollout.state === state,
  );

const reasons = ({ rollout }: Deployment): string => rollout?.transitions.map(({ reason }) => reason).join("\n") ?? "";

test.each([
  { metric: "latency", latencyMs: (revision: number) => (revision === 2 ? 30 : 20), yesPercent: () => 50 },
  { metric: "predictions", latencyMs: () => 20, yesPercent: (revision: number) => (revision === 2 ? 70 : 50) },
])("a revision that is worse on $metric alone, with no error, is rolled back", async ({ metric, ...answers }) => {
  const name = `judged-${metric}`;
  agent.traffic = { requests: 100, errorPercent: () => 0, ...answers };
  const metrics = [
    { name: "errors", kind: MetricKind.ERRORS },
    { name: "latency", kind: MetricKind.LATENCY },
    { name: "predictions", kind: MetricKind.PREDICTIONS },
  ];
  const steps = [{ weightPercent: 50, holdSeconds: 60 }];
  const judged = { strategy: { kind: { case: "canary", value: { steps } } }, analysis: { metrics } } as const;
  await apply(name, "img:1", judged);
  await rolledOut(name, 1, RolloutState.SUCCEEDED);
  await apply(name, "img:2", judged);
  const live = await rolledOut(name, 2, RolloutState.ROLLED_BACK);
  expect(live.stableRevision).toBe(1);
  expect(live.rollout?.verdict).toMatchObject({ kind: VerdictKind.ROLLBACK, metric });
  expect(live.rollout?.totalCanary).toMatchObject({ errors: 0n });
  expect(reasons(live)).toContain(`the judge says roll back: the new revision is worse on ${metric}`);
  expect(agent.routes.get(name)?.splits).toMatchObject([{ revision: 1, basisPoints: 10_000 }]);
});
