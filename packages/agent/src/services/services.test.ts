import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { offerTask } from "@kedge/bus";
import { FailureClass, JobState, RunOn, type Service, ServiceSchema, TaskState } from "@kedge/proto";
import { buildHostBaseImage, connectDocker, createImageStore, createNetworks } from "@kedge/runtime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningAgent, startAgent } from "../agent.ts";
import { stopNode } from "../stop-node.ts";
import { ControllerFixture, waitFor } from "../testing/agent-fixture.ts";
import { type AgentProcess, spawnAgent } from "../testing/spawn-agent.ts";

const IMAGE = `kedge-agent-test/services:${process.pid}`;
const docker = connectDocker();
const images = createImageStore({ docker });

const script = (name: string, text: string, image = "") => ({
  name,
  action: { case: "run" as const, value: { script: text, image } },
});
type Ready = Service["ready"];
const tcp: Ready = { case: "readyTcpPort", value: 8080 };
const service = (name: string, text: string, ready: Ready, more: object = {}): Service =>
  create(ServiceSchema, { name, image: IMAGE, command: ["sh", "-c", text], ready, readyTimeoutSeconds: 20, ...more });
const httpd = "echo serving; exec busybox httpd -f -v -p 8080 -h /etc";

async function containersOf(taskId: string): Promise<string[]> {
  const filters = { label: [`kedge.task=${taskId}`] };
  return (await docker.listContainers({ all: true, filters })).map(({ Id }) => Id);
}

describe("services of a job", () => {
  let controller: ControllerFixture;
  let agent: RunningAgent;
  beforeAll(async () => {
    await buildHostBaseImage({ images, tag: IMAGE, programs: ["busybox"] });
    controller = await ControllerFixture.start("n1-services-test");
    const options = { runtimes: ["process", "docker"] as const, haproxyPath: "/nonexistent" };
    agent = await startAgent(controller.options(options));
  });
  afterAll(async () => {
    await agent?.stop();
    await controller?.stop();
    await images.remove(IMAGE);
  });

  const gone = async (taskId: string): Promise<void> => {
    await waitFor(
      async () => (await readdir(join(controller.dataDir, "tasks"))).length === 0,
      () => "the task's folder is still there",
    );
    expect(await containersOf(taskId)).toEqual([]);
    expect(await createNetworks(docker).list({ "kedge.task": taskId })).toEqual([]);
  };

  it("are ready before the steps, reached by name and by address, and end with the job", async () => {
    const http: Ready = { case: "readyHttp", value: { $typeName: "kedge.v1.HttpProbe", port: 8080, path: "/passwd" } };
    const finished = await controller.run(
      "services-1",
      [
        script(
          "inside",
          'wget -qO- "http://web-1:8080/nsswitch.conf"; wget -qO- "http://$KEDGE_SERVICE_WEB_2:8080/group"',
          IMAGE,
        ),
        script(
          "outside",
          'wget -qO- "http://$KEDGE_SERVICE_WEB_1:8080/nsswitch.conf" || busybox wget -qO- "http://$KEDGE_SERVICE_WEB_1:8080/nsswitch.conf"',
        ),
      ],
      {
        services: [service("web-1", httpd, tcp), service("web-2", `sleep 1; ${httpd}`, http)],
        post: [{ on: RunOn.ALWAYS, step: script("tidy", "wget -qO- http://web-1:8080/group", IMAGE) }],
      },
    );
    const { text } = await controller.log("services-1");
    expect(finished, text).toMatchObject({ state: TaskState.SUCCEEDED });
    expect(text.match(/hosts: files dns/g)).toHaveLength(2);
    expect(text.match(/nogroup:x:65534/g)).toHaveLength(2);
    expect(text.match(/^serving$/gm)).toHaveLength(2);
    await gone("services-1");
  });

  it.each([
    [
      "late",
      service("db", "sleep 60", tcp, { readyTimeoutSeconds: 1 }),
      FailureClass.TIMEOUT,
      "not ready within 1 s: it does not accept connections on port 8080",
    ],
    [
      "command",
      service("db", "sleep 60", { case: "readyCommand", value: "exit 4" }, { readyTimeoutSeconds: 1 }),
      FailureClass.TIMEOUT,
      "its command exits with 4",
    ],
    ["dead", service("db", "echo no; exit 5", tcp), FailureClass.EXIT_CODE, "ended with code 5"],
    [
      "fat",
      service("db", "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done", tcp, { resources: { memoryMib: 16 } }),
      FailureClass.OUT_OF_MEMORY,
      "more memory",
    ],
    [
      "image",
      service("db", "true", tcp, { image: "127.0.0.1:1/none:1" }),
      FailureClass.INFRASTRUCTURE,
      "127.0.0.1:1/none:1",
    ],
    ["name", service("-x", "true", tcp), FailureClass.INVALID, "is not a host name"],
  ])("fail the job when one is not ready, and its post steps run: %s", async (name, db, failureClass, message) => {
    const job = {
      services: [db, service("web", httpd, tcp)],
      post: [{ on: RunOn.FAILURE, step: script("tidy", "echo tidied") }],
    };
    const finished = await controller.run(`unready-${name}`, [script("main", "echo never")], job);
    expect(finished, finished.failure?.message).toMatchObject({
      state: TaskState.FAILED,
      failure: { class: failureClass, step: `service ${db.name}` },
    });
    expect(finished.failure?.message).toContain(message);
    const states = controller.stepStates(`unready-${name}`);
    expect(states).toEqual({ main: JobState.SKIPPED, tidy: JobState.SUCCEEDED });
    const { text } = await controller.log(`unready-${name}`);
    expect([text.includes("never"), text.includes("tidied\n")]).toEqual([false, true]);
    await gone(`unready-${name}`);
  });

  it("are said to have ended when they do while the job goes on", async () => {
    const finished = await controller.run("dying-1", [script("main", "sleep 3")], {
      services: [service("db", "sleep 1; echo bye; exit 7", { case: "readyCommand", value: "true" })],
    });
    expect(finished.state).toBe(TaskState.SUCCEEDED);
    const { text } = await controller.log("dying-1");
    expect(text).toContain("bye\n");
    expect(text).toContain("service db: ended with code 7 while the job goes on\n");
  });

  it("are no way to hang a job: one that ignores its end is killed", async () => {
    const stubborn = `trap "" TERM; echo up; while :; do sleep 1; done`;
    const finished = await controller.run("stubborn-1", [script("main", "true")], {
      services: [service("db", stubborn, { case: undefined })],
    });
    expect(finished.state, finished.failure?.message).toBe(TaskState.SUCCEEDED);
    await gone("stubborn-1");
  });

  it("tells a step's container that used too much memory", async () => {
    const grow = script("grow", "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done", IMAGE);
    const { failure } = await controller.run("oom-1", [grow], { resources: { memoryMib: 16 } });
    expect(failure).toMatchObject({ class: FailureClass.OUT_OF_MEMORY, step: "grow" });
  });

  it("are adopted by the agent that comes after one that was killed", async () => {
    const other = await ControllerFixture.start("n2-services-test");
    let killed: AgentProcess | undefined;
    try {
      killed = await spawnAgent(other.dataDir, { runtimes: ["process", "docker"] });
      const go = join(other.dataDir, "go");
      const count = "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done";
      const { bus, authority } = other.testBus;
      const steps = [
        script("wait", `echo begun; while [ ! -e ${go} ]; do sleep 0.02; done`),
        script("use", "echo $KEDGE_SERVICE_DB"),
      ];
      const ready: Ready = { case: "readyCommand", value: "true" };
      const services = [service("db", count, ready), service("dying", "sleep 1; exit 7", ready)];
      await offerTask(bus, authority.signer, other.offer("adopt-1", steps, { services }));
      await waitFor(
        async () => /begun\n(?:.*\n)*?tick \d+\n/.test((await other.log("adopt-1")).text),
        () => "not begun",
        20_000,
      );
      await waitFor(
        async () => (await other.log("adopt-1")).text.includes("service dying: ended with code 7"),
        () => "the service has not ended",
        20_000,
      );
      const before = await containersOf("adopt-1");
      await killed.end("SIGKILL");
      await writeFile(go, "");
      killed = await spawnAgent(other.dataDir, { runtimes: ["process", "docker"] });
      const { state } = await other.finished("adopt-1");
      expect(state).toBe(TaskState.SUCCEEDED);
      expect(before).toHaveLength(2);
      const { text, sequences } = await other.log("adopt-1");
      expect(text).toMatch(/^\d+\.\d+\.\d+\.\d+$/m);
      const ticks = [...text.matchAll(/^tick (\d+)$/gm)].map((match) => Number(match[1]));
      expect(ticks.length).toBeGreaterThan(5);
      expect(ticks).toEqual(ticks.map((_, index) => index + 1));
      expect(sequences).toEqual(sequences.map((_, index) => index + 1));
    } finally {
      await killed?.end("SIGTERM");
      await stopNode(other.dataDir);
      await other.stop();
    }
  }, 60_000);
});
