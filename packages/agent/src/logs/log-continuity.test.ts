import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { offerTask } from "@kedge/bus";
import { TaskState } from "@kedge/proto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ControllerFixture, waitFor } from "../testing/agent-fixture.ts";
import { type AgentProcess, spawnAgent } from "../testing/spawn-agent.ts";

const script = (text: string) => ({ name: "write", action: { case: "run" as const, value: { script: text } } });

describe("a large log", () => {
  let controller: ControllerFixture;
  let agent: AgentProcess | undefined;
  beforeEach(async () => {
    controller = await ControllerFixture.start("n1");
    agent = await spawnAgent(controller.dataDir);
  });
  afterEach(async () => {
    await agent?.end("SIGTERM");
    await controller.stop();
  });
  const begin = async (taskId: string, text: string): Promise<void> => {
    const { bus, authority } = controller.testBus;
    await offerTask(bus, authority.signer, controller.offer(taskId, [script(text)]));
  };
  const stored = async (taskId: string): Promise<number> => (await controller.log(taskId)).sequences.length;

  const lineCount = async (taskId: string): Promise<number> =>
    (await controller.log(taskId)).text.split("\n").length - 1;

  it("is whole, and without its secrets, though its agent is killed while it is written", async () => {
    const [lines, kills] = [60_000, 4];
    const go = join(controller.dataDir, "go");
    const write = `seq -f 'line %.0f of s3cret-word here' 1 ${lines}; while [ ! -e ${go}$n ]; do sleep 0.02; done`;
    await begin("kill-1", `echo s3cret-word > "$KEDGE_MASKS"; for n in 1 2 3 4; do ${write}; done; echo end`);
    for (let kill = 1, before = 0; kill <= kills; kill += 1) {
      await waitFor(
        async () => (await stored("kill-1")) > before,
        () => `${before} chunks before kill ${kill}`,
        20_000,
      );
      await agent?.end("SIGKILL");
      agent = await spawnAgent(controller.dataDir);
      await waitFor(
        async () => (await lineCount("kill-1")) === lines * kill,
        () => `kill ${kill}`,
        20_000,
      );
      before = await stored("kill-1");
      await writeFile(`${go}${kill}`, "");
    }
    expect((await controller.finished("kill-1")).state).toBe(TaskState.SUCCEEDED);
    const { text, sequences } = await controller.log("kill-1");
    expect(sequences).toEqual(sequences.map((_, index) => index + 1));
    expect(text).not.toContain("s3cret");
    const expected = Array.from({ length: kills * lines }, (_, n) => `line ${(n % lines) + 1} of *** here`);
    const found = text.split("\n");
    expect(found.findIndex((line, n) => line !== expected[n])).toBe(expected.length);
    expect(found.slice(expected.length)).toEqual(["end", ""]);
  });

  it("takes no more memory than a small one", async () => {
    const pid = agent?.child.pid ?? 0;
    const resident = async (): Promise<number> => {
      const status = await readFile(`/proc/${pid}/status`, "utf8");
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
    };
    await begin("warm-1", "seq 1 200000");
    await controller.finished("warm-1");
    const before = await resident();
    // Lines of 100,000 characters among them.
    await begin("large-1", "seq -f '%1000.0f' 1 90000; head -c 10000000 /dev/urandom | base64 -w 100000");
    let most = before;
    await waitFor(
      async () => {
        most = Math.max(most, await resident());
        return controller.of("large-1").some(({ event }) => event.case === "finished");
      },
      () => `${most} MiB`,
      60_000,
    );
    expect(most - before).toBeLessThan(150);
    const { text } = await controller.log("large-1");
    expect(text.length).toBeGreaterThan(103_000_000);
    expect(text.split("\n").filter((line) => line.length === 100_000).length).toBeGreaterThan(130);
  });
});
