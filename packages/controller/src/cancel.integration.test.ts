import { RunState } from "@kedge/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ControllerHarness } from "./testing/controller-harness.ts";
import { eventually } from "./testing/eventually.ts";

const PIPELINE = "name: p\njobs:\n  work:\n    steps: [{ name: go, run: 'true' }]\n";

let harness: ControllerHarness;

beforeEach(async () => {
  harness = await ControllerHarness.start();
});
afterEach(() => harness.stop());

test("a cancel stands until the run has the task's end, whatever the node lists as running", async () => {
  const agent = await harness.agent("n1");
  agent.script = () => undefined;
  // As within a heartbeat of the start: the node has the task and does not say so.
  agent.lists = false;
  agent.obeys = false;
  const run = await harness.submit(PIPELINE);
  await harness.until(run.id, ({ jobs }) => jobs[0]?.tasks[0]?.startedAt !== undefined);
  await harness.runs.cancelRun({ runId: run.id });
  const cancelled = () => agent.assignment?.cancelledTasks.length ?? 0;
  await eventually(
    async () => cancelled(),
    (count) => count === 1,
  );

  // Two looks at the node, each of which used to drop it.
  const generation = agent.assignment?.generation;
  let changes = 0;
  const sent = agent.messagesSent;
  await eventually(
    async () => {
      if (agent.assignment?.generation !== generation) changes++;
      return agent.messagesSent - sent;
    },
    (count) => count > 30,
  );
  expect(changes).toBe(0);
  expect(cancelled()).toBe(1);

  agent.obeys = true;
  agent.obey();
  const ended = await harness.until(run.id);
  expect(ended.state).toBe(RunState.CANCELLED);
  await eventually(
    async () => cancelled(),
    (count) => count === 0,
  );
});
