import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { offerTask } from "@kedge/bus";
import { AssignmentSchema, Comparison, FailureClass, JobState, RunOn, TaskState } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningAgent, startAgent } from "../agent.ts";
import { ControllerFixture, waitFor } from "../testing/agent-fixture.ts";
import { type AgentProcess, spawnAgent } from "../testing/spawn-agent.ts";

const script = (name: string, text: string, more: object = {}) => ({
  name,
  ...more,
  action: { case: "run" as const, value: { script: text } },
});
const post = (on: RunOn, name: string, text: string, more: object = {}) => ({ on, step: script(name, text, more) });
const { SUCCEEDED, FAILED, SKIPPED, CANCELLED } = JobState;

describe("the order of steps", () => {
  let controller: ControllerFixture;
  let agent: RunningAgent;
  let generation = 0n;
  let revision = 0;
  beforeAll(async () => {
    controller = await ControllerFixture.start("n1");
    agent = await startAgent(controller.options());
  });
  afterAll(async () => {
    await agent?.stop();
    await controller?.stop();
  });

  const cancel = async (taskId: string): Promise<void> => {
    const cancelledTasks = [{ taskId, fence: 1 }];
    generation += 1n;
    const assignment = create(AssignmentSchema, { nodeId: "n1", generation, cancelledTasks });
    revision = (
      await (revision === 0
        ? controller.assignments.create("n1", assignment)
        : controller.assignments.update("n1", assignment, revision))
    ).revision;
  };
  const begun = (taskId: string, text: string) =>
    waitFor(
      async () => (await controller.log(taskId)).text.includes(text),
      () => `${taskId} has not logged ${text}`,
    );

  it("runs after a failure only what is meant to, and fails with the first one", async () => {
    const finished = await controller.run("order-1", [
      script("one", "exit 3"),
      script("two", "echo two"),
      script("three", "echo three; exit 4", { runOn: RunOn.FAILURE }),
      script("four", "echo four", { runOn: RunOn.ALWAYS }),
    ]);
    expect(finished).toMatchObject({ state: TaskState.FAILED, failure: { step: "one", exitCode: 3 } });
    expect(controller.stepStates("order-1")).toEqual({ one: FAILED, two: SKIPPED, three: FAILED, four: SUCCEEDED });
    const { text } = await controller.log("order-1");
    expect([text.includes("two\n"), text.includes("three\n"), text.includes("four\n")]).toEqual([false, true, true]);
  });

  it("goes on after a failure that is allowed, and says that it was one", async () => {
    const finished = await controller.run("order-2", [
      script("one", "exit 3", { allowFailure: true }),
      script("two", "true", { runOn: RunOn.FAILURE }),
      script("three", "true"),
    ]);
    expect(finished.state).toBe(TaskState.SUCCEEDED);
    expect(controller.stepStates("order-2")).toEqual({ one: FAILED, two: SKIPPED, three: SUCCEEDED });
    expect(controller.steps("order-2")[0]).toMatchObject({ exitCode: 3, message: "exited with code 3" });
  });

  it.each([
    ["success", "true", TaskState.SUCCEEDED, { "post s": SUCCEEDED, "post f": SKIPPED }],
    ["failure", "exit 1", TaskState.FAILED, { "post s": SKIPPED, "post f": SUCCEEDED }],
    ["timeout", "sleep 60", TaskState.FAILED, { "post s": SKIPPED, "post f": SUCCEEDED }],
  ])("runs the post steps that fit: %s", async (name, text, state, states) => {
    const finished = await controller.run(`post-${name}`, [script("main", text)], {
      timeoutSeconds: 1,
      post: [
        post(RunOn.SUCCESS, "post s", 'echo "s $KEDGE_JOB_STATUS"'),
        post(RunOn.FAILURE, "post f", 'echo "f $KEDGE_JOB_STATUS"'),
        post(RunOn.ALWAYS, "post f", 'echo "a $KEDGE_JOB_STATUS"'),
      ],
    });
    expect(finished.state).toBe(state);
    expect(controller.stepStates(`post-${name}`)).toMatchObject({ ...states, "post f (2)": SUCCEEDED });
    const status = name === "success" ? "success" : "failure";
    expect((await controller.log(`post-${name}`)).text).toContain(`a ${status}\n`);
  });

  it("runs post steps after a cancellation, once, however often it is told", async () => {
    const running = controller.run("post-cancel", [script("main", "echo begun; sleep 60"), script("next", "true")], {
      post: [
        post(RunOn.FAILURE, "told", "true"),
        post(RunOn.ALWAYS, "tidy", 'echo "status $KEDGE_JOB_STATUS"; sleep 0.5; echo tidied'),
      ],
    });
    await begun("post-cancel", "begun");
    await cancel("post-cancel");
    await begun("post-cancel", "status");
    await cancel("post-cancel");
    expect((await running).state).toBe(TaskState.CANCELLED);
    expect((await controller.log("post-cancel")).text).toContain("status cancelled\ntidied\n");
    const states = { main: CANCELLED, next: SKIPPED, told: SKIPPED, tidy: SUCCEEDED };
    expect(controller.stepStates("post-cancel")).toEqual(states);
  });

  it("ends post steps when the job is cancelled during them", async () => {
    const running = controller.run("post-end", [script("main", "true")], {
      post: [post(RunOn.ALWAYS, "tidy", "echo begun; sleep 60"), post(RunOn.ALWAYS, "more", "true")],
    });
    await begun("post-end", "begun");
    await cancel("post-end");
    expect(await running).toMatchObject({ state: TaskState.CANCELLED, failure: { step: "tidy" } });
    expect(controller.stepStates("post-end")).toEqual({ main: SUCCEEDED, tidy: CANCELLED, more: SKIPPED });
  });

  it("bounds post steps, and fails the job by one that fails", async () => {
    const { failure } = await controller.run("post-slow", [script("main", "true")], {
      cleanupTimeoutSeconds: 1,
      post: [post(RunOn.ALWAYS, "tidy", "sleep 60")],
    });
    expect(failure).toMatchObject({ class: FailureClass.TIMEOUT, step: "tidy" });
    expect(failure?.message).toBe("the post steps took longer than 1 s");
    const allowed = await controller.run("post-allowed", [script("main", "true")], {
      post: [post(RunOn.ALWAYS, "tidy", "exit 9", { allowFailure: true }), post(RunOn.ALWAYS, "more", "echo more")],
    });
    expect(allowed.state).toBe(TaskState.SUCCEEDED);
    expect((await controller.log("post-allowed")).text).toContain("more\n");
  });

  it.each([
    ["kept", 0.9, TaskState.SUCCEEDED],
    ["broken", 0.5, TaskState.FAILED],
  ])("holds what the job has reported against a gate: %s", async (name, accuracy, state) => {
    const rules = [{ metric: "accuracy", comparison: Comparison.AT_LEAST, threshold: 0.8 }];
    const { failure, ...finished } = await controller.run(`gate-${name}`, [
      script("measure", `echo '{"accuracy": ${accuracy}}' > m.json`, { metricsFile: "m.json" }),
      { name: "gate", action: { case: "gate", value: { rules } } },
    ]);
    expect(finished.state).toBe(state);
    if (state === TaskState.FAILED) expect(failure).toMatchObject({ class: FailureClass.GATE, step: "gate" });
    expect((await controller.log(`gate-${name}`)).text).toMatch(/accuracy 0\.\d (is|is not) at least 0\.8\n/);
  });
});

describe("an agent that is killed during post steps", () => {
  it("goes on with them, and remembers how the job ended", async () => {
    const controller = await ControllerFixture.start("n1");
    let agent: AgentProcess | undefined;
    try {
      agent = await spawnAgent(controller.dataDir);
      const go = join(controller.dataDir, "go");
      const ran = join(controller.dataDir, "ran");
      const wait = `echo waiting; echo x >> ${ran}; while [ ! -e ${go} ]; do sleep 0.02; done`;
      const offer = controller.offer("killed-1", [script("main", "exit 3")], {
        post: [
          post(RunOn.ALWAYS, "wait", wait),
          post(RunOn.FAILURE, "failed", 'echo "f $KEDGE_JOB_STATUS"'),
          post(RunOn.SUCCESS, "ok", "echo never"),
        ],
      });
      await offerTask(controller.testBus.bus, controller.testBus.authority.signer, offer);
      await waitFor(
        async () => (await controller.log("killed-1")).text.includes("waiting"),
        () => "the post step has not begun",
      );
      await agent.end("SIGKILL");
      await writeFile(go, "");
      agent = await spawnAgent(controller.dataDir);
      const { state, failure } = await controller.finished("killed-1");
      expect([state, failure?.step, failure?.exitCode]).toEqual([TaskState.FAILED, "main", 3]);
      expect(await readFile(ran, "utf8")).toBe("x\n");
      const { text, sequences } = await controller.log("killed-1");
      expect(text).toContain("f failure\n");
      expect(text).not.toContain("never");
      expect(sequences).toEqual(sequences.map((_, index) => index + 1));
      await waitFor(
        () => !existsSync(join(controller.dataDir, "tasks", "killed-1")),
        () => "the task's folder is still there",
      );
    } finally {
      await agent?.end("SIGTERM");
      await controller.stop();
    }
  });
});
