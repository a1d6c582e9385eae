import { create } from "@bufbuild/protobuf";
import { LogChunkSchema } from "@kedge/proto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findLogTail } from "./log-tail.ts";
import { publishLog, type ReadLogsOptions, readLogEntries } from "./logs.ts";
import { startTestBus, type TestBus, type TestNode } from "./testing/test-bus.ts";

describe("logs", () => {
  let world: TestBus;
  let node: TestNode;
  const { signal } = new AbortController();

  beforeAll(async () => {
    world = await startTestBus();
    node = await world.connectNode("n1");
  });
  afterAll(() => world.stop());

  const publish = (job: string, sequence: number, text: string, step = "a"): Promise<void> =>
    publishLog(
      node.bus,
      create(LogChunkSchema, {
        ref: { nodeId: "n1", taskId: `t-${job}`, runId: "run", job, fence: 1 },
        ...{ sequence: BigInt(sequence), step, data: Buffer.from(text) },
      }),
    );
  const read = async (options: Omit<ReadLogsOptions, "runId" | "follow">) => {
    const entries: { text: string; position: number }[] = [];
    for await (const reading of readLogEntries(world.bus, { runId: "run", follow: false, ...options }, signal)) {
      if (reading.kind === "chunk") {
        entries.push({ text: Buffer.from(reading.chunk.data).toString(), position: reading.position });
      }
    }
    return entries;
  };
  /** The last lines, as a reader puts them together. */
  const tail = async (job: string, lines: number, step?: string): Promise<string | undefined> => {
    const counts = step === undefined ? {} : { counts: (chunk: { readonly step: string }) => chunk.step === step };
    const found = await findLogTail(world.bus, { runId: "run", job, lines, ...counts }, signal);
    if (found === undefined) return undefined;
    const all = (await read({ job, from: { position: found.position } })).map(({ text }) => text).join("");
    return all.split("\n").slice(found.skipLines).join("\n");
  };

  it("is read from a position or a time on", async () => {
    for (const n of [1, 2, 3, 4]) await publish("from", n, `${n}`);
    const all = await read({ job: "from" });
    expect(all.map(({ text }) => text)).toEqual(["1", "2", "3", "4"]);
    const position = all[2]?.position ?? 0;
    expect((await read({ job: "from", from: { position } })).map(({ text }) => text)).toEqual(["3", "4"]);
    expect(await read({ job: "from", from: { position: position + 1_000_000 } })).toEqual([]);
    const now = world.bus.clock.now();
    await publish("from", 5, "5");
    expect((await read({ job: "from", from: { sinceMs: now } })).map(({ text }) => text)).toEqual(["5"]);
    expect(await read({ job: "from", from: { sinceMs: now + 60_000 } })).toEqual([]);
  });

  it("finds the last lines among those of other jobs, and reads no more than it needs", async () => {
    for (let n = 1; n <= 40; n += 1) {
      await publish("tail", n, `line ${2 * n - 1}\nline ${2 * n}\n`);
      await publish("noise", n, `noise ${n}\n`);
    }
    await publish("tail", 41, "partial");
    expect(await tail("tail", 1)).toBe("partial");
    expect(await tail("tail", 3)).toBe("line 79\nline 80\npartial");
    expect((await tail("tail", 30))?.split("\n")).toHaveLength(30);
    expect((await tail("tail", 1000))?.split("\n")).toHaveLength(81);
    expect(await tail("noise", 2)).toBe("noise 39\nnoise 40\n");
    expect(await tail("nothing", 5)).toBeUndefined();
  });

  it("finds the last lines of one step, however long ago they are", async () => {
    await publish("steps", 1, "first\nsecond\n", "early");
    for (let n = 2; n <= 30; n += 1) await publish("steps", n, "late\n", "late");
    expect((await tail("steps", 1, "early"))?.startsWith("second\n")).toBe(true);
    expect(await tail("steps", 1, "none")).toBeUndefined();
  });
});
