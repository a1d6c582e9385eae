import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isKedgeError } from "@kedge/domain";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { LogChunk, WorkloadSpec } from "./runtime.ts";
import {
  dockerHarness,
  eventually,
  forever,
  type Harness,
  output,
  processHarness,
  temporaryFolder,
} from "./testing/harness.ts";

const AGENT = fileURLToPath(new URL("./testing/start-workload.ts", import.meta.url));

describe.each([
  { kind: "process", open: processHarness },
  { kind: "docker", open: dockerHarness },
])("the $kind runtime", ({ open }) => {
  let harness: Harness;
  let workspace: string;

  beforeAll(async () => {
    harness = await open();
    workspace = await temporaryFolder();
  });

  afterAll(async () => {
    await harness.close();
    await rm(workspace, { recursive: true, force: true });
  });

  it("reports exit code and output", async () => {
    const { runtime, script } = harness;
    const started = await runtime.start(script("exit", "echo out; echo err >&2; exit 3", { labels: { a: "1" } }));
    expect(started).toMatchObject({ id: "exit", state: "running", labels: { a: "1" } });
    expect(await runtime.wait("exit", forever)).toMatchObject({ exitCode: 3, outOfMemory: false });
    expect(await output(runtime, "exit")).toEqual({ stdout: "out\n", stderr: "err\n" });
    expect(await runtime.list({ a: "1" })).toMatchObject([{ id: "exit", state: "exited", exit: { exitCode: 3 } }]);
  });

  it("gives the environment of the spec and nothing of the agent's", async () => {
    process.env["KEDGE_TEST_SECRET"] = "mine";
    const { runtime, script } = harness;
    await runtime.start(script("env", "env", { env: { GIVEN: "it's a $value\nof two lines" } }));
    const { stdout } = await output(runtime, "env");
    expect(stdout).toContain("GIVEN=it's a $value\nof two lines\n");
    expect(stdout).not.toContain("KEDGE_TEST_SECRET");
  });

  it("starts nothing when the signal has aborted", async () => {
    const { runtime, script } = harness;
    const given = AbortSignal.abort(new Error("given up"));
    await expect(runtime.start(script("given-up", "true"), given)).rejects.toThrow("given up");
    expect((await runtime.list({})).map(({ id }) => id)).not.toContain("given-up");
  });

  it("works in the workspace", async () => {
    const { runtime, script } = harness;
    await writeFile(join(workspace, "in"), "hello");
    await runtime.start(script("workspace", "cp in out", { workspace }));
    expect(await runtime.wait("workspace", forever)).toMatchObject({ exitCode: 0 });
    expect(await readFile(join(workspace, "out"), "utf8")).toBe("hello");
  });

  it("runs an id once, however often and however concurrently it is started", async () => {
    const { runtime, script, reopen } = harness;
    const spec = script("once", "echo ran >>ran; exit 4", { workspace });
    await Promise.all([1, 2, 3, 4].map(() => runtime.start(spec)));
    await runtime.wait("once", forever);
    expect(await reopen().start(spec)).toMatchObject({ state: "exited", exit: { exitCode: 4 } });
    expect(await readFile(join(workspace, "ran"), "utf8")).toBe("ran\n");
  });

  it("reports a missing program as code 127", async () => {
    const { runtime, script } = harness;
    await runtime.start({ ...script("missing", ""), command: ["no-such-program"] });
    expect(await runtime.wait("missing", forever)).toMatchObject({ exitCode: 127 });
    expect((await output(runtime, "missing")).stderr).toContain("no-such-program");
  });

  it("does not take words of the shell for programs", async () => {
    const { runtime, script } = harness;
    await runtime.start({ ...script("words", ""), command: ["exit", "0"] });
    expect(await runtime.wait("words", forever)).toMatchObject({ exitCode: 127 });
  });

  it("stops with grace, and without when that is not heard", async () => {
    const { runtime, script } = harness;
    const wait = "echo ready; while :; do sleep 0.05; done";
    await runtime.start(script("polite", `trap 'echo bye; exit 5' TERM; ${wait}`));
    await runtime.start(script("deaf", `trap '' TERM; ${wait}`));
    for (const id of ["polite", "deaf"]) await firstChunk(id);
    await runtime.stop("polite", 10_000);
    await runtime.stop("deaf", 200);
    expect(await runtime.wait("polite", forever)).toMatchObject({ exitCode: 5 });
    expect(await runtime.wait("deaf", forever)).toMatchObject({ exitCode: 137, signal: "SIGKILL" });
    await runtime.stop("deaf", 200);
  });

  it("follows output and resumes at any offset", async () => {
    const { runtime, script } = harness;
    const text = "echo one; echo uno >&2; while [ ! -e go ]; do sleep 0.02; done; echo two; echo due >&2";
    await runtime.start(script("follow", text, { workspace }));
    const { offset } = await firstChunk("follow");
    await writeFile(join(workspace, "go"), "");
    expect(await output(runtime, "follow")).toEqual({ stdout: "one\ntwo\n", stderr: "uno\ndue\n" });
    const whole = { stdout: "one\ntwo\n", stderr: "uno\ndue\n" };
    expect(await output(runtime, "follow", offset)).toEqual({
      stdout: whole.stdout.slice(offset.stdout),
      stderr: whole.stderr.slice(offset.stderr),
    });
    expect(await output(runtime, "follow", { stdout: 3, stderr: 8 })).toEqual({ stdout: "\ntwo\n", stderr: "" });
  });

  it("passes on every byte of a large output, in chunks of at most 64 KiB", async () => {
    const { runtime, script } = harness;
    await runtime.start(script("large", "seq 1 300000"));
    let text = "";
    let largest = 0;
    for await (const { data } of runtime.logs("large", { signal: forever })) {
      text += Buffer.from(data).toString("latin1");
      largest = Math.max(largest, data.length);
    }
    expect(text === Array.from({ length: 300_000 }, (_, i) => `${i + 1}\n`).join("")).toBe(true);
    expect(largest).toBeLessThanOrEqual(65_536);
  });

  it("ends waits and reads when the caller gives up", async () => {
    const { runtime, script } = harness;
    await runtime.start(script("long", "echo ready; sleep 60"));
    const giveUp = new AbortController();
    const waiting = runtime.wait("long", giveUp.signal).then(
      () => "ended",
      () => "gave up",
    );
    for await (const _ of runtime.logs("long", { signal: forever })) break;
    const reading = collect("long", giveUp.signal).then(
      () => "ended",
      () => "gave up",
    );
    giveUp.abort();
    expect(await Promise.all([waiting, reading])).toEqual(["gave up", "gave up"]);
    await runtime.remove("long");
    expect((await runtime.list({})).map(({ id }) => id)).not.toContain("long");
  });

  it("knows what it does not know", async () => {
    const { runtime } = harness;
    await expect(runtime.wait("unknown", forever)).rejects.toSatisfy((e) => isKedgeError(e, "INVALID_FIELD"));
    await expect(collect("unknown", forever)).rejects.toSatisfy((e) => isKedgeError(e, "INVALID_FIELD"));
    await runtime.remove("unknown");
    await expect(runtime.remove("../etc")).rejects.toSatisfy((e) => isKedgeError(e, "INVALID_FIELD"));
  });

  it("publishes a port that the workload is told", async () => {
    const { runtime, script } = harness;
    await writeFile(join(workspace, "index.html"), "served");
    const command = "exec busybox httpd -f -p $PORT -h .";
    const { hostPort } = await runtime.start(script("web", command, { workspace, publish: { containerPort: 8080 } }));
    const body = await eventually("the page", async () => (await fetch(`http://127.0.0.1:${hostPort}/`)).text());
    expect(body).toBe("served");
    expect(await runtime.list({})).toContainEqual(expect.objectContaining({ id: "web", hostPort }));
    await runtime.remove("web");
  });

  it("adopts what an agent that was killed has started", async () => {
    const { reopen, script, place } = harness;
    const spec = script("orphan", "echo before; while [ ! -e end ]; do sleep 0.02; done; echo after; exit 6", {
      workspace,
      labels: { task: "t1" },
    });
    await startAndKillAgent(place, spec);
    const runtime = reopen();
    expect(await runtime.list({ task: "t1" })).toMatchObject([{ id: "orphan", state: "running" }]);
    expect(await runtime.start(spec)).toMatchObject({ id: "orphan", state: "running" });
    const exit = runtime.wait("orphan", forever);
    await writeFile(join(workspace, "end"), "");
    expect(await exit).toMatchObject({ exitCode: 6 });
    expect((await output(runtime, "orphan")).stdout).toBe("before\nafter\n");
  });

  async function firstChunk(id: string): Promise<LogChunk> {
    for await (const chunk of harness.runtime.logs(id, { signal: forever })) return chunk;
    throw new Error(`workload ${id} ended without output`);
  }

  async function collect(id: string, signal: AbortSignal): Promise<number> {
    let bytes = 0;
    for await (const { data } of harness.runtime.logs(id, { signal })) bytes += data.length;
    return bytes;
  }
});

async function startAndKillAgent(place: readonly string[], spec: WorkloadSpec): Promise<void> {
  const agent = spawn(process.execPath, ["-C", "kedge-source", AGENT, ...place, JSON.stringify(spec)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await Promise.race([
    once(agent.stdout, "data"),
    once(agent, "exit").then(() => Promise.reject(new Error("the agent ended by itself"))),
  ]);
  agent.kill("SIGKILL");
  await once(agent, "exit");
}
