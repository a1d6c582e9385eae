import { RunState } from "@kedge/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LEASE_MARGIN_MS, LEASE_MS } from "./nodes/registry.ts";
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

test("a cancelled run ends although its agent never answers; the agent is told for as long as it lists the task", async () => {
  const agent = await harness.agent("n1");
  agent.script = () => undefined;
  agent.obeys = false;
  const run = await harness.submit(PIPELINE);
  await harness.until(run.id, ({ jobs }) => jobs[0]?.tasks[0]?.startedAt !== undefined);
  await harness.runs.cancelRun({ runId: run.id, reason: "not needed" });
  const told = await harness.until(run.id, ({ jobs }) => jobs[0]?.tasks[0]?.endingSince !== undefined);
  expect(told.state).toBe(RunState.RUNNING);

  harness.clock.skip(LEASE_MS + LEASE_MARGIN_MS + 1_000);
  const ended = await harness.until(run.id);
  expect(ended).toMatchObject({ state: RunState.CANCELLED, reason: "not needed" });
  expect(ended.jobs[0]?.reason).toBe("not needed; node n1 is lost: its lease ran out");
  const sent = agent.messagesSent;
  await eventually(
    async () => agent.messagesSent - sent,
    (count) => count > 15,
  );
  expect(agent.assignment?.cancelledTasks).toHaveLength(1);

  agent.obeys = true;
  agent.obey();
  await eventually(
    async () => agent.assignment?.cancelledTasks.length,
    (count) => count === 0,
  );
  expect((await harness.run(run.id)).jobs).toEqual(ended.jobs);
});
