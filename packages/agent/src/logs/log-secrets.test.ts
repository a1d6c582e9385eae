import { TaskState } from "@kedge/proto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type RunningAgent, startAgent } from "../agent.ts";
import { ControllerFixture } from "../testing/agent-fixture.ts";

let controller: ControllerFixture;
let agent: RunningAgent;
beforeAll(async () => {
  controller = await ControllerFixture.start("n1");
  agent = await startAgent(controller.options());
});
afterAll(async () => {
  await agent.stop();
  await controller.stop();
});

it("keeps what a step names as secret out of log, outputs and failures", async () => {
  const script = [
    'echo session-1234 >> "$KEDGE_MASKS"',
    "echo it is session-1234, in base64 $(printf session-1234 | base64), >&2",
    "echo token=session-1234 > outputs",
  ].join("\n");
  const run = { case: "run" as const, value: { script } };
  const next = { case: "run" as const, value: { script: "true" } };
  const finished = await controller.run("secrets-1", [
    { name: "one", action: run, outputsFile: "outputs" },
    { name: "two", action: next, metricsFile: "session-1234.json" },
  ]);
  expect(finished.state).toBe(TaskState.FAILED);
  expect(finished.outputs).toEqual({ token: "***" });
  const { text } = await controller.log("secrets-1");
  expect(text).toContain("it is ***, in base64 ***,\n");
  expect(finished.failure?.message).toContain("***.json");
  expect(JSON.stringify([text, finished.failure?.message, finished.steps.map(({ message }) => message)])).not.toContain(
    "session-1234",
  );
});
