import { type Deployment, DeploymentService, JobState, NodeService, type Run, TaskState } from "@kedge/proto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ControllerHarness } from "./testing/controller-harness.ts";
import { eventually } from "./testing/eventually.ts";
import { ImageDeployment } from "./testing/image-deployment.ts";
import type { ScriptedAgent } from "./testing/scripted-agent.ts";

let harness: ControllerHarness;
let agent: ScriptedAgent;

beforeEach(async () => {
  harness = await ControllerHarness.start();
  agent = await harness.agent("n1");
  // Tasks end when they are told to.
  agent.script = () => undefined;
});
afterEach(() => harness.stop());

const submit = (cpu: number, more: string) =>
  harness.submit(
    `name: p\njobs:\n  work:\n    ${more}\n    resources: { cpu: ${cpu} }\n    steps: [{ name: go, run: 'true' }]\n`,
  );

async function running(cpu: number, more: string): Promise<Run> {
  const { id } = await submit(cpu, more);
  const run = await harness.until(id, (seen) => seen.jobs[0]?.state === JobState.RUNNING);
  // Orders to end what a node does not say it runs are dropped.
  await eventually(
    () => harness.client(NodeService).getNode({ nodeId: "n1" }),
    ({ node }) => node?.runningTasks.some(({ taskId }) => taskId === run.jobs[0]?.tasks[0]?.id) === true,
  );
  return run;
}

const deploymentOf = (name: string, priority: number, replicas = 1) =>
  new ImageDeployment(harness, name, { priority, scale: { case: "replicas", value: replicas } });

const isMakingRoom = ({ pending }: Deployment): boolean =>
  pending?.summary === "jobs of lower priority on n1 make room for it";

test("replicas take the place of jobs of lower priority that may be lost, and of no others; through a restart", async () => {
  const fail = await running(2, "retry: { on-lost: fail }");
  const retry = await running(2, "retry: { attempts: 1, on-lost: retry }");
  // The agent does not end anything until told.
  agent.obeys = false;
  const voice = deploymentOf("voice", 50);
  await voice.apply("voice:1", { cpuMilli: 1500 });
  const told = await harness.until(retry.id, (run) => run.jobs[0]?.tasks[0]?.preemptedBy !== "");
  expect(told.jobs[0]?.tasks[0]?.preemptedBy).toBe("voice");
  await voice.until(isMakingRoom);
  expect(voice.revisionsOn(agent)).toEqual([]);

  await harness.stopController();
  await harness.startController();
  await voice.until(isMakingRoom);
  // Whoever comes later gets nothing of the room that is being made, however important.
  const late = await submit(2, "priority: 100");
  agent.obeys = true;
  agent.obey();
  await eventually(
    async () => voice.revisionsOn(agent),
    (revisions) => revisions.length === 1,
  );
  await voice.rolledOut(1);
  const made = await harness.until(retry.id, (run) => run.jobs[0]?.state === JobState.PENDING);
  expect(made.jobs[0]?.tasks.map(({ state }) => state)).toEqual([TaskState.PREEMPTED]);
  expect(made.jobs[0]?.reason).toContain("made room for voice");
  expect((await harness.run(late.id)).jobs[0]?.state).toBe(JobState.PENDING);
  expect((await harness.run(fail.id)).jobs[0]?.state).toBe(JobState.RUNNING);
  expect((await voice.look()).pending).toBeUndefined();
});

test("nobody makes room for replicas of the same priority, nor where the policy forbids it", async () => {
  const work = await running(4, "retry: { on-lost: retry }");
  const plain = deploymentOf("plain", 0);
  await plain.apply("plain:1", { cpuMilli: 1500 });
  const short = await plain.until(({ pending }) => pending !== undefined);
  expect(short.pending).toMatchObject({ summary: expect.stringContaining("cpu") });
  expect(short.pending?.heldBack).toBeUndefined();
  const { scheduling } = harness;
  await scheduling.setSchedulingPolicy({ policy: { noPreemption: true } });
  const voice = deploymentOf("voice", 50);
  await voice.apply("voice:1", { cpuMilli: 1500 });
  await voice.until(({ pending }) => pending !== undefined);
  expect((await harness.run(work.id)).jobs[0]?.tasks[0]?.preemptedBy).toBe("");
  await scheduling.setSchedulingPolicy({ policy: {} });
  await harness.until(work.id, (run) => run.jobs[0]?.tasks[0]?.preemptedBy === "voice");
});

test("what is not wanted any more is given back to the jobs that wait", async () => {
  const first = await running(4, "retry: { attempts: 1, on-lost: retry }");
  agent.obeys = false;
  const voice = deploymentOf("voice", 50, 2);
  await voice.apply("voice:1", { cpuMilli: 1500 });
  await voice.until(isMakingRoom);
  await harness.client(DeploymentService).deleteDeployment({ name: "voice" });
  agent.obeys = true;
  agent.obey();
  const again = await harness.until(first.id, (run) => run.jobs[0]?.tasks[1]?.state === TaskState.RUNNING);
  expect(again.jobs[0]?.tasks[0]?.state).toBe(TaskState.PREEMPTED);
});
