import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { createSigner, offerTask, subjects } from "@kedge/bus";
import {
  AssignmentSchema,
  FailureClass,
  JobState,
  SignedSchema,
  SourceSchema,
  TaskOfferSchema,
  TaskState,
} from "@kedge/proto";
import { createAccount } from "@nats-io/nkeys";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningAgent, startAgent } from "../agent.ts";
import { ControllerFixture, waitFor } from "../testing/agent-fixture.ts";

const script = (text: string, more: object = {}) => ({
  name: "main",
  ...more,
  action: { case: "run" as const, value: { script: text } },
});

describe("tasks", () => {
  let controller: ControllerFixture;
  let agent: RunningAgent;
  beforeAll(async () => {
    controller = await ControllerFixture.start("n1");
    agent = await startAgent(controller.options());
  });
  afterAll(async () => {
    await agent?.stop();
    await controller?.stop();
  });

  it("runs steps in one workspace and reports outputs, metrics and log", async () => {
    const finished = await controller.run("ok-1", [
      script("echo one; echo KEY=value > out; echo '{\"accuracy\": 0.5}' > m.json", {
        name: "first",
        metricsFile: "m.json",
        outputsFile: "out",
      }),
      script('echo "two $KEDGE_RUN_ID $KEDGE_JOB $KEDGE_ATTEMPT $CI $MINE"; cat out; echo err >&2', {
        name: "second",
        env: { MINE: "mine" },
      }),
    ]);
    expect(finished).toMatchObject({
      state: TaskState.SUCCEEDED,
      outputs: { KEY: "value" },
      metrics: { accuracy: 0.5 },
    });
    const { text, sequences } = await controller.log("ok-1");
    for (const line of ["one\n", "two run1 ok-1 1 true mine\n", "KEY=value\n", "err\n"]) expect(text).toContain(line);
    expect(sequences).toEqual(sequences.map((_, index) => index + 1));
    expect(controller.stepStates("ok-1")).toEqual({ first: JobState.SUCCEEDED, second: JobState.SUCCEEDED });
    await waitFor(
      async () => (await readdir(join(controller.dataDir, "tasks"))).length === 0,
      () => "the task's folder is still there",
    );
  });

  it("tells a task that takes longer step by step", async () => {
    await controller.run("slow-1", [script("sleep 0.4", { name: "first" }), script("true", { name: "second" })]);
    const events = controller.of("slow-1").map(({ event }) => event);
    expect(events.slice(0, 3).map((event) => event.case)).toEqual(["claimed", "started", "step"]);
    expect(events[2]?.value).toMatchObject({ name: "first", state: JobState.RUNNING });
    expect(controller.stepStates("slow-1")).toEqual({ first: JobState.SUCCEEDED, second: JobState.SUCCEEDED });
  });

  it.each([
    ["exit", script("exit 3"), FailureClass.EXIT_CODE, "exited with code 3"],
    ["timeout", script("sleep 60", { timeoutSeconds: 1 }), FailureClass.TIMEOUT, "took longer than 1 s"],
    ["metrics", script("true", { metricsFile: "m.json" }), FailureClass.INVALID, "m.json does not exist"],
    ["empty", { name: "main" }, FailureClass.INVALID, "no action"],
  ])("says how a task failed: %s", async (name, step, failureClass, message) => {
    const { state, failure } = await controller.run(`fail-${name}`, [step, script("echo never")]);
    expect(state).toBe(TaskState.FAILED);
    expect(failure?.class).toBe(failureClass);
    expect(failure?.message).toContain(message);
    expect(failure?.step).toBe("main");
    expect((await controller.log(`fail-${name}`)).text).not.toContain("never");
  });

  it("cancels a running task through the assignment", async () => {
    const running = controller.run("cancel-1", [script("sleep 60")]);
    await waitFor(
      () => controller.of("cancel-1").some(({ event }) => event.case === "started"),
      () => "not started",
    );
    const cancelledTasks = [{ taskId: "cancel-1", fence: 1 }];
    await controller.assignments.create(
      "n1",
      create(AssignmentSchema, { nodeId: "n1", generation: 1n, cancelledTasks }),
    );
    const { state, failure } = await running;
    expect([state, failure?.class]).toEqual([TaskState.CANCELLED, FailureClass.CANCELLED]);
  });

  it("runs many tasks at once", async () => {
    const all = Array.from({ length: 12 }, (_, i) => controller.run(`many-${i}`, [script("sleep 0.3; echo done")]));
    for (const { state } of await Promise.all(all)) expect(state).toBe(TaskState.SUCCEEDED);
  });

  it("ignores offers of others, and for others", async () => {
    const { bus, authority } = controller.testBus;
    const marker = join(controller.dataDir, "hostile");
    const stranger = createSigner(createAccount().getSeed());
    const send = async (signed: ReturnType<typeof stranger.sign>): Promise<void> => {
      await bus.jetstream.publish(subjects.offers("n1"), toBinary(SignedSchema, signed));
    };
    const offer = controller.offer("hostile-1", [script(`touch ${marker}`)]);
    const forged = stranger.sign(TaskOfferSchema, offer, "n1");
    await send(forged);
    await send({ ...forged, keyId: authority.signer.publicKey });
    await send(authority.signer.sign(TaskOfferSchema, offer, "n2"));
    const escaping = controller.offer("../../escape", [script(`touch ${marker}`)]);
    await send(authority.signer.sign(TaskOfferSchema, escaping, "n1"));
    expect((await controller.run("after-hostile", [script("true")])).state).toBe(TaskState.SUCCEEDED);
    expect(existsSync(marker)).toBe(false);
    expect(controller.of("hostile-1")).toEqual([]);
  });

  it("runs an offer that comes twice once", async () => {
    const { bus, authority } = controller.testBus;
    const offer = controller.offer("twice-1", [script(`echo x >> ${join(controller.dataDir, "twice")}; sleep 0.3`)]);
    await offerTask(bus, authority.signer, offer);
    const signed = authority.signer.sign(TaskOfferSchema, offer, "n1");
    await bus.jetstream.publish(subjects.offers("n1"), toBinary(SignedSchema, signed));
    await controller.finished("twice-1");
    await bus.jetstream.publish(subjects.offers("n1"), toBinary(SignedSchema, signed));
    await controller.run("twice-after", [script("true")]);
    const claims = controller.of("twice-1").filter(({ event }) => event.case === "claimed");
    expect(claims).toHaveLength(1);
  });

  it("checks out the run's commit", async () => {
    const repository = await mkdtemp(join(tmpdir(), "kedge-repo-"));
    try {
      const git = (...args: string[]) => execFileSync("git", args, { cwd: repository, encoding: "utf8" }).trim();
      git("init", "-q");
      await mkdir(join(repository, "src"));
      await writeFile(join(repository, "src", "a"), "content");
      git("add", ".");
      git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "one");
      const commit = git("rev-parse", "HEAD");
      const offer = controller.offer("checkout-1", [
        { name: "get", action: { case: "checkout", value: {} } },
        script("cat src/a"),
      ]);
      const source = { repository, commit };
      const { bus, authority } = controller.testBus;
      await offerTask(bus, authority.signer, Object.assign(offer, { source: create(SourceSchema, source) }));
      expect((await controller.finished("checkout-1")).outputs).toEqual({ commit });
      expect((await controller.log("checkout-1")).text).toContain("content");
    } finally {
      await rm(repository, { recursive: true });
    }
  });
});
