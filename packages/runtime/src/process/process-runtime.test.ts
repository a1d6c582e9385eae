import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isKedgeError } from "@kedge/domain";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { WorkloadSpec } from "../runtime.ts";
import { eventually, forever, type Harness, output, processHarness } from "../testing/harness.ts";
import { bootId, isAlive, parseStat } from "./process-stat.ts";

describe("the process runtime's own", () => {
  let harness: Harness;
  let dir: string;

  beforeEach(async () => {
    harness = await processHarness();
    dir = harness.place[1];
  });
  afterEach(() => harness.close());

  it("ends what a command left running", async () => {
    const { runtime, script } = harness;
    await runtime.start(script("leaves", "sleep 60 & echo $!"));
    await runtime.wait("leaves", forever);
    const pid = Number((await output(runtime, "leaves")).stdout);
    const gone = await eventually(`process ${pid} to end`, async () => {
      const line = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
      return parseStat(line)?.ended === false ? undefined : true;
    });
    expect(gone).toBe(true);
  });

  it("never takes another process of the same pid for its own", async () => {
    const { runtime } = harness;
    const stat = (await readFile("/proc/self/stat", "utf8")).split(" ");
    const other = [...stat.slice(0, 21), "1", ...stat.slice(22)].join(" ");
    await record("recycled", other, bootId());
    await runtime.stop("recycled", 0);
    expect(await runtime.wait("recycled", forever)).toMatchObject({ exitCode: 137, signal: "SIGKILL" });
    await record("rebooted", stat.join(" "), "another boot");
    expect(await runtime.wait("rebooted", forever)).toMatchObject({ exitCode: 137 });
  });

  it("ends a start that a killed agent began", async () => {
    const { runtime, script } = harness;
    await mkdir(join(dir, "begun"));
    await writeFile(join(dir, "begun", "meta.json"), '{"id":"beg');
    expect(await runtime.list({})).toEqual([]);
    expect(await runtime.start(script("begun", "exit 2"))).toMatchObject({ id: "begun" });
    expect(await runtime.wait("begun", forever)).toMatchObject({ exitCode: 2 });
  });

  it("runs a command once when two wrappers are started for it", async () => {
    const { runtime, script, reopen } = harness;
    const spec = script("twice", "echo ran; sleep 0.2");
    await Promise.all([runtime.start(spec), reopen().start(spec), reopen().start(spec)]);
    expect(await runtime.wait("twice", forever)).toMatchObject({ exitCode: 0 });
    expect(await output(runtime, "twice")).toEqual({ stdout: "ran\n", stderr: "" });
  });

  it("survives the death of the wrapper alone and ends its command", async () => {
    const { runtime, script, reopen } = harness;
    const { pid = 0 } = await runtime.start(script("headless", "echo $$; exec sleep 60"));
    for await (const _ of runtime.logs("headless", { signal: forever })) break;
    process.kill(pid, "SIGKILL");
    const agent = reopen();
    expect(await agent.wait("headless", forever)).toMatchObject({ exitCode: 137 });
    const command = Number((await output(agent, "headless")).stdout);
    await eventually(`process ${command} to end`, async () => {
      const line = await readFile(`/proc/${command}/stat`, "utf8").catch(() => "");
      return parseStat(line)?.ended === false ? undefined : true;
    });
  });

  it.each<[string, Partial<WorkloadSpec>]>([
    ["command", { command: [] }],
    ["command", { command: ["-c"] }],
    ["image", { image: "x" }],
    ["network", { network: "none" }],
    ["user", { user: "1" }],
    ["mounts", { mounts: [{ source: "/", target: "/x", readOnly: true }] }],
  ])("refuses %s: it needs a container", async (field, more) => {
    const start = harness.runtime.start(harness.script("refused", "true", more));
    await expect(start).rejects.toMatchObject({ reason: "INVALID_FIELD", field });
  });

  it.each<[string, readonly string[] | undefined, string]>([
    ["the ones it may use", ["GPU-b", "GPU-a"], "GPU-b,GPU-a"],
    ["none when it may use none", [], ""],
    ["what its spec says on a host without any", undefined, "spec"],
  ])("shows a process of the host's GPUs %s", async (_title, gpus, expected) => {
    const { runtime, script } = harness;
    const env = { CUDA_VISIBLE_DEVICES: "spec" };
    const print = `printf %s "\${CUDA_VISIBLE_DEVICES?}"`;
    await runtime.start(script("gpus", print, gpus === undefined ? { env } : { env, gpus }));
    expect(await runtime.wait("gpus", forever)).toMatchObject({ exitCode: 0 });
    expect(await output(runtime, "gpus")).toEqual({ stdout: expected, stderr: "" });
  });

  it("names a workspace that is not there", async () => {
    const start = harness.runtime.start(harness.script("nowhere", "true", { workspace: "/nonexistent" }));
    await expect(start).rejects.toSatisfy((error) => isKedgeError(error, "PROCESS_FAILED"));
    expect(await harness.runtime.list({})).toEqual([]);
  });

  async function record(id: string, stat: string, boot: string): Promise<void> {
    const folder = join(dir, id);
    await mkdir(folder);
    await writeFile(join(folder, "meta.json"), JSON.stringify({ id, labels: {}, startedAtMs: 1, bootId: boot }));
    await writeFile(join(folder, "process"), stat);
    for (const name of ["stdout", "stderr"]) await writeFile(join(folder, name), "");
  }
});

describe("parseStat", () => {
  it("reads a program's name that looks like the fields after it", () => {
    const rest = Array.from({ length: 17 }, (_, i) => String(i)).join(" ");
    expect(parseStat(`42 (a) Z (b) S 1 ${rest} 777 0\n`)).toEqual({ pid: 42, startTicks: "777", ended: false });
    expect(parseStat(`42 (a) Z 1 ${rest} 777 0\n`)?.ended).toBe(true);
    expect(parseStat("gone\n")).toBeUndefined();
  });

  it("finds this process alive, and no other of its pid", async () => {
    const self = parseStat(await readFile("/proc/self/stat", "utf8"));
    expect(self?.pid).toBe(process.pid);
    expect(self !== undefined && (await isAlive(self))).toBe(true);
    expect(await isAlive({ pid: process.pid, startTicks: "1" })).toBe(false);
  });
});
